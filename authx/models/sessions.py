"""A device session: one sign-in on one device, one row, which is also the Knox token."""

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Self, TypeVar

from django.conf import settings
from django.contrib.auth import get_user_model
from django.db import models, router
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least, TruncDate
from django.utils import timezone
from django.utils.deconstruct import deconstructible
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from knox.models import AbstractAuthToken
from knox.settings import CONSTANTS

from authx.models.event_kinds import REVOCATIONS
from authx.tokens import NONCE_SIZE

if TYPE_CHECKING:
    # What AUTH_USER_MODEL is in this project; at run time it can be any model.
    from django.contrib.auth.models import User


M = TypeVar("M", bound=models.Model)


class DeviceSessionQuerySet(models.QuerySet["DeviceSession"]):
    """Queries for sessions."""

    def unrevoked(self) -> Self:
        return self.filter(revoked_at__isnull=True)

    def live_for(self, user: "User", now: datetime) -> Self:
        """Return the sessions of a user that are accepted now."""
        return self.unrevoked().filter(
            user=user, idle_expires_at__gt=now, auth_hash__in=auth_hashes(user)
        )


def write_alias() -> str:
    """Return the database of the sessions, and of all that shares a transaction with them."""
    return router.db_for_write(DeviceSession)


def all_users() -> models.QuerySet[Any]:
    """Return every user, from the database of the sessions.

    A replica that lags would not know a new user, and accept an old password. The managers of a
    project may choose one, or leave users out.
    """
    return models.QuerySet(get_user_model(), using=write_alias())


def user_manager() -> Any:
    """Return a copy of the user model's own manager that reads from the database of the sessions.

    For what the project decides: how a name is compared, and whom Django may sign in.
    """
    alias = write_alias()
    manager: Any = get_user_model()._default_manager.db_manager(alias)
    choose = manager.get_queryset
    # Whatever database the project's own method chooses.
    manager.get_queryset = lambda: choose().using(alias)
    return manager


class PrimaryManager(models.Manager[M]):
    """Reads from the database of the sessions, not from a replica."""

    def get_queryset(self) -> models.QuerySet[M]:
        return super().get_queryset().using(write_alias())


SessionManager = models.Manager.from_queryset(DeviceSessionQuerySet)


class PrimarySessionManager(SessionManager["DeviceSession"]):
    """Reads from the write database: a lagging replica would sign users out."""

    def get_queryset(self) -> DeviceSessionQuerySet:
        return DeviceSessionQuerySet(self.model, using=write_alias())


@deconstructible(path="authx.models.sessions.UTCDate")
class UTCDate(TruncDate):
    """The date of an instant in UTC, whatever the time zone of project and request."""

    def __init__(self, expression: Any, **extra: Any) -> None:
        super().__init__(expression, tzinfo=UTC, **extra)


class DeviceSession(AbstractAuthToken):
    """One sign-in on one device, with the digests of its newest pair.

    A rotation changes the row in place, so one UPDATE revokes it whatever rotates meanwhile. No
    index contains a column that a refresh or a request changes, so these are HOT updates.
    """

    id = models.UUIDField(_("session ID"), primary_key=True, default=uuid.uuid4, editable=False)
    # As in Knox, with a name that can be translated.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.CASCADE,
        related_name="auth_token_set",
        verbose_name=_("user"),
    )

    # The access token. Knox finds tokens by `token_key`. Here it stays empty, so that Knox's own
    # authentication class, which ignores revocations, accepts no token of a session.
    token_key = models.CharField(
        max_length=CONSTANTS.TOKEN_KEY_LENGTH, blank=True, default="", editable=False
    )
    digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH)
    # Knox sets it by the clock of the process.
    created = models.DateTimeField(_("access token issued"), default=timezone.now)
    # Knox allows null, for a token that never expires.
    expiry = models.DateTimeField(_("access token expires"))
    access_nonce = models.BinaryField(max_length=NONCE_SIZE)
    # How many fresh access tokens this generation has had.
    fresh_access_count = models.PositiveSmallIntegerField(default=0)

    # The refresh token of the newest generation; see authx.sessions.generations for the others.
    generation = models.PositiveIntegerField(_("number of refreshes"), default=0)
    refresh_digest = models.CharField(max_length=CONSTANTS.DIGEST_LENGTH)
    refresh_nonce = models.BinaryField(max_length=NONCE_SIZE, blank=True)
    idempotency_digests = models.BinaryField(blank=True, default=b"")
    rotated_at = models.DateTimeField(_("last refresh"), default=timezone.now)
    # The first use of the newest pair; until then, its predecessor may be retried.
    confirmed_at = models.DateTimeField(_("newest tokens first used"), null=True, blank=True)
    recent = models.BinaryField(blank=True, default=b"")

    created_at = models.DateTimeField(_("signed in at"), default=timezone.now)
    # When the user last presented a credential.
    authenticated_at = models.DateTimeField(_("last authentication"), default=timezone.now)
    # A keyed digest of the password hash: a password change in any way ends the session.
    auth_hash = models.CharField(max_length=128)
    idle_expires_at = models.DateTimeField(_("expires if not refreshed"))
    absolute_expires_at = models.DateTimeField(_("expires at the latest"))
    # What AUTHX["LIFETIMES"] said at sign-in; without a value, the setting of the same name holds.
    access_token_ttl = models.DurationField(null=True, blank=True)
    refresh_token_ttl = models.DurationField(null=True, blank=True)
    revoked_at = models.DateTimeField(_("ended at"), null=True, blank=True)
    revoked_reason = models.CharField(
        _("reason for the end"),
        max_length=32,
        blank=True,
        choices=[(kind.value, kind.label) for kind in REVOCATIONS],
    )
    # The day of the end, in UTC: indexed instead of the ends themselves, which change at every
    # refresh. The database generates it, so no writer can forget it.
    sweep_on = models.GeneratedField(
        expression=UTCDate(Least(Coalesce("revoked_at", "idle_expires_at"), "idle_expires_at")),
        output_field=models.DateField(),
        db_persist=True,
    )

    # Chosen by the app: it names what a new sign-in replaces, and proves nothing.
    installation_id = models.CharField(_("installation ID"), max_length=128, blank=True)
    # Inside the device credential, which proves it (devices.py).
    device_id = models.UUIDField(default=uuid.uuid4, editable=False)
    name = models.CharField(_("device name"), max_length=100, blank=True)
    platform = models.CharField(_("platform"), max_length=32, blank=True)
    app_version = models.CharField(_("app version"), max_length=32, blank=True)
    # Of the project, such as a push token; see authx.sessions.own_data.
    data = models.JSONField(blank=True, default=dict)
    last_used_at = models.DateTimeField(_("last used"), default=timezone.now)
    # Of the request that the newest pair was issued to.
    last_ip = models.GenericIPAddressField(_("IP address"), null=True, blank=True)
    last_user_agent = models.CharField(_("user agent"), max_length=256, blank=True)

    # Not a column: set on the object if the current request has renewed the access token.
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
        return f"{self.name or self.platform or gettext('device')} ({self.pk})"

    def is_live(self, now: datetime) -> bool:
        """Return whether the session is neither revoked nor expired; its user is not considered."""
        return self.revoked_at is None and self.idle_expires_at > now


class SweepLease(models.Model):
    """The only row says which sweep holds the lease, and until when; another one is skipped."""

    owner = models.UUIDField()
    leased_until = models.DateTimeField()

    objects = PrimaryManager["SweepLease"]()

    class Meta:
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(id=1), name="authx_one_sweep_lease"),
        ]

    def __str__(self) -> str:
        return f"sweep lease until {self.leased_until}"


def auth_hashes(user: "User") -> list[str]:
    """Return the session auth hashes of a user: one for each accepted SECRET_KEY."""
    return [user.get_session_auth_hash(), *user.get_session_auth_fallback_hash()]
