"""A device session: one sign-in on one device, one row, which is also the Knox token."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self

from django.db import models, router
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least, TruncDate
from django.utils import timezone
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken
from knox.settings import CONSTANTS

from authx.tokens import NONCE_SIZE

if TYPE_CHECKING:
    # What AUTH_USER_MODEL is in this project; at run time it can be any model.
    from django.contrib.auth.models import User


class RevocationReason(models.TextChoices):
    """Why a session was ended on purpose."""

    SIGNED_OUT = "signed_out", _("signed out")
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere", _("signed out everywhere")
    ENDED_BY_USER = "ended_by_user", _("ended from another device")
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
        """Return the sessions of a user that would be accepted now."""
        return self.unrevoked().filter(
            user=user, idle_expires_at__gt=now, auth_hash__in=auth_hashes(user)
        )


def write_alias() -> str:
    """Return the database that sessions live in; what belongs to one transaction with them too."""
    return router.db_for_write(DeviceSession)


SessionManager = models.Manager.from_queryset(DeviceSessionQuerySet)


class PrimarySessionManager(SessionManager["DeviceSession"]):
    """Reads where writes go: a replica that lags behind would sign users out."""

    def get_queryset(self) -> DeviceSessionQuerySet:
        return DeviceSessionQuerySet(self.model, using=write_alias())


@deconstructible(path="authx.models.sessions.UTCDate")
class UTCDate(TruncDate):
    """The day of an instant in UTC, whatever the time zone of project and request."""

    def __init__(self, expression: Any, **extra: Any) -> None:
        super().__init__(expression, tzinfo=UTC, **extra)


class DeviceSession(AbstractAuthToken):
    """One sign-in on one device: the newest pair of tokens, as digests, and what it was made of.

    Rotations change the row in place: revoking is one UPDATE that no rotation can slip past. No
    index has a column that a refresh or a request changes, so that each is a HOT update.
    """

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)

    # The access token. Knox finds one by `token_key`; here it stays empty, so that Knox's own
    # authentication class, which knows nothing of revocations, accepts no token of ours.
    token_key = models.CharField(
        max_length=CONSTANTS.TOKEN_KEY_LENGTH, blank=True, default="", editable=False
    )
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH)
    # Knox would set it by the clock of the process.
    created = models.DateTimeField(default=timezone.now)
    # Knox allows none, and such a token would never end.
    expiry = models.DateTimeField()
    access_nonce = models.BinaryField(max_length=NONCE_SIZE)
    # How many access tokens replaced one of this generation that expired unused.
    fresh_access_count = models.PositiveSmallIntegerField(default=0)

    # The refresh token of the newest generation; see authx.sessions.generations for the others.
    generation = models.PositiveIntegerField(default=0)
    refresh_digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH)
    refresh_nonce = models.BinaryField(max_length=NONCE_SIZE, blank=True)
    idempotency_digests = models.BinaryField(blank=True, default=b"")
    rotated_at = models.DateTimeField(default=timezone.now)
    # The first use of the newest pair; until then its predecessor may be retried.
    confirmed_at = models.DateTimeField(null=True, blank=True)
    recent = models.BinaryField(blank=True, default=b"")

    created_at = models.DateTimeField(default=timezone.now)
    # When the user last showed a credential.
    authenticated_at = models.DateTimeField(default=timezone.now)
    # A keyed digest of the password hash: a password changed anywhere ends the session.
    auth_hash = models.CharField(max_length=128)
    idle_expires_at = models.DateTimeField()
    absolute_expires_at = models.DateTimeField()
    revoked_at = models.DateTimeField(null=True, blank=True)
    revoked_reason = models.CharField(max_length=32, blank=True, choices=RevocationReason)
    # The day of the end, in UTC. Indexed instead of the ends themselves, which move at every
    # refresh, and kept by the database, so that no writer can forget it.
    sweep_on = models.GeneratedField(
        expression=UTCDate(Least(Coalesce("revoked_at", "idle_expires_at"), "idle_expires_at")),
        output_field=models.DateField(),
        db_persist=True,
    )

    installation_id = models.CharField(max_length=128, blank=True)
    name = models.CharField(max_length=100, blank=True)
    platform = models.CharField(max_length=32, blank=True)
    app_version = models.CharField(max_length=32, blank=True)
    last_used_at = models.DateTimeField(default=timezone.now)
    # From where the newest pair was issued.
    last_ip = models.GenericIPAddressField(null=True, blank=True)
    last_user_agent = models.CharField(max_length=256, blank=True)

    # No column: set on the object where the request under way has just prolonged the access token.
    renewed_at: datetime | None = None

    objects = PrimarySessionManager()  # type: ignore[assignment,misc]  # untyped in Knox

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
                condition=~Q(digest="") & ~Q(refresh_digest="") & ~Q(digest=F("refresh_digest")),
                name="authx_digests_differ",
            ),
        ]
        indexes: ClassVar = [models.Index(fields=["sweep_on"], name="authx_session_sweep_on")]

    def __str__(self) -> str:
        return f"{self.name or self.platform or 'device'} ({self.pk})"

    def is_live(self, now: datetime) -> bool:
        """Say whether neither a revocation nor time has ended the session."""
        return self.revoked_at is None and self.idle_expires_at > now


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
