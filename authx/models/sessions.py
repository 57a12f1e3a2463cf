"""What is kept of a device session and of its access tokens: digests only, never a token."""

import uuid
from datetime import datetime
from typing import TYPE_CHECKING, ClassVar, Self

from django.conf import settings
from django.db import models, router
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Greatest
from django.utils import timezone
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken, AuthTokenManager
from knox.settings import CONSTANTS

from authx.tokens import NONCE_SIZE

if TYPE_CHECKING:
    # What AUTH_USER_MODEL is in this project; at run time it can be any model.
    from django.contrib.auth.models import User


class RevocationReason(models.TextChoices):
    """Why a session was ended on purpose."""

    SIGNED_OUT = "signed_out", _("signed out")
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere", _("signed out everywhere")
    ENDED_BY_PERSON = "ended_by_person", _("ended from another device")
    REPLACED = "replaced", _("replaced by a new sign-in of the same installation")
    EVICTED = "evicted", _("evicted by the device limit")
    PASSWORD_CHANGED = "password_changed", _("password changed")
    DEACTIVATED = "deactivated", _("account deactivated")
    DELETED = "deleted", _("account deleted")
    REUSE_DETECTED = "reuse_detected", _("refresh token used twice")
    ENDED_BY_OPERATOR = "ended_by_operator", _("ended by an operator")


class DeviceSessionQuerySet(models.QuerySet["DeviceSession"]):
    """Sessions, narrowed down in the words of the project."""

    def unrevoked(self) -> Self:
        return self.filter(revoked_at__isnull=True)

    def live_for(self, user: "User", now: datetime) -> Self:
        """Return the sessions of a person that would be accepted now, last use annotated."""
        return (
            self.unrevoked()
            .filter(user=user, idle_expires_at__gt=now, auth_hash__in=auth_hashes(user))
            .annotate(used_at=last_use())
        )


SessionManager = models.Manager.from_queryset(DeviceSessionQuerySet)


class PrimarySessionManager(SessionManager["DeviceSession"]):
    """Reads where writes go: a replica that lags behind would sign people out."""

    def get_queryset(self) -> DeviceSessionQuerySet:
        return DeviceSessionQuerySet(self.model, using=router.db_for_write(self.model))


class PrimaryTokenManager(AuthTokenManager):
    """Reads where writes go, as for sessions."""

    def get_queryset(self) -> models.QuerySet["AccessToken"]:
        tokens: models.QuerySet[AccessToken] = super().get_queryset()
        return tokens.using(router.db_for_write(self.model))


class DeviceSession(models.Model):
    """One sign-in on one device; owns its refresh lineage and its access tokens.

    Rotations change the row in place: revoking is one UPDATE that no rotation can slip past.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL, on_delete=models.CASCADE, related_name="device_sessions"
    )
    generation = models.PositiveIntegerField(default=0)
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH)
    previous_digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH, blank=True)
    nonce = models.BinaryField(max_length=NONCE_SIZE)
    # A keyed digest of the password hash: a password changed anywhere ends the session.
    auth_hash = models.CharField(max_length=128)

    created_at = models.DateTimeField(default=timezone.now)
    rotated_at = models.DateTimeField(default=timezone.now)
    # The first use of the newest pair; until then its predecessor may be retried.
    confirmed_at = models.DateTimeField(null=True, blank=True)
    idle_expires_at = models.DateTimeField()
    absolute_expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=32, blank=True, choices=RevocationReason)

    installation_id = models.CharField(max_length=128, blank=True)
    name = models.CharField(max_length=100, blank=True)
    platform = models.CharField(max_length=32, blank=True)
    app_version = models.CharField(max_length=32, blank=True)
    last_used_at = models.DateTimeField(default=timezone.now)
    last_ip = models.GenericIPAddressField(null=True, blank=True)
    last_user_agent = models.CharField(max_length=256, blank=True)

    objects = PrimarySessionManager()

    class Meta:
        verbose_name = _("device session")
        verbose_name_plural = _("device sessions")
        permissions: ClassVar = [("revoke_devicesession", "Can end device sessions")]
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["user", "installation_id"],
                condition=Q(revoked_at__isnull=True) & ~Q(installation_id=""),
                name="authx_one_session_per_installation",
            ),
            models.CheckConstraint(
                condition=Q(idle_expires_at__lte=F("absolute_expires_at")),
                name="authx_idle_ends_before_absolute",
            ),
            models.CheckConstraint(
                condition=Q(revoked_at__isnull=True, revoked_reason="")
                | (Q(revoked_at__isnull=False) & ~Q(revoked_reason="")),
                name="authx_revoked_with_a_reason",
            ),
            models.CheckConstraint(
                condition=~Q(digest="") & ~Q(digest=F("previous_digest")),
                name="authx_digest_changes",
            ),
        ]
        indexes: ClassVar = [
            models.Index(fields=["idle_expires_at"], name="authx_session_idle_expires"),
            models.Index(
                fields=["revoked_at"],
                condition=Q(revoked_at__isnull=False),
                name="authx_session_revoked",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name or self.platform or 'device'} ({self.pk})"

    def is_live(self, now: datetime) -> bool:
        """Say whether neither a revocation nor time has ended the session."""
        return self.revoked_at is None and self.idle_expires_at > now


class AccessToken(AbstractAuthToken):
    """A short-lived bearer token of a session: Knox's row, tied to one generation of a lineage."""

    session = models.ForeignKey(
        DeviceSession, on_delete=models.CASCADE, related_name="access_tokens"
    )
    generation = models.PositiveIntegerField()
    nonce = models.BinaryField(max_length=NONCE_SIZE)
    last_used_at = models.DateTimeField(default=timezone.now)
    # Knox would set it by a clock of its own.
    created = models.DateTimeField(default=timezone.now)
    # Knox allows none, and such a token would never end.
    expiry = models.DateTimeField()

    objects = PrimaryTokenManager()  # type: ignore[misc]  # untyped in Knox

    class Meta:
        verbose_name = _("access token")
        verbose_name_plural = _("access tokens")
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["session", "generation"], name="authx_one_access_token_per_generation"
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["expiry"], name="authx_access_token_expiry")]

    def __str__(self) -> str:
        return f"access token of {self.session_id}, generation {self.generation}"


class SweepLease(models.Model):
    """The one row that says which sweep runs; a second one steps aside."""

    leased_until = models.DateTimeField()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="authx_one_sweep_lease"),
        ]

    def __str__(self) -> str:
        return f"sweep lease until {self.leased_until}"


def auth_hashes(user: "User") -> list[str]:
    """Return the snapshots that a session of this user may carry: one for each accepted key."""
    return [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]


def last_use() -> Greatest:
    """Return the instant a session was last used, as an expression on DeviceSession.

    Its access tokens note their uses on their own rows, at most once a minute each, so that
    requests of one device do not queue for its session row.
    """
    token_use = models.Subquery(
        AccessToken.objects.filter(session=models.OuterRef("pk"))
        .order_by("-last_used_at")
        .values("last_used_at")[:1]
    )
    return Greatest(F("last_used_at"), Coalesce(token_use, F("last_used_at")))
