"""What is remembered of the things that happened to users and their sessions."""

from collections.abc import Iterable
from typing import Any, ClassVar, Never

from django.conf import settings
from django.db import models
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from authx.models.sessions import write_alias


class EventKind(models.TextChoices):
    """What happened; named as the reason of a revocation where it is one."""

    SIGNED_IN = "signed_in", _("signed in")
    SIGN_IN_FAILED = "sign_in_failed", _("failed sign-in")
    NEW_DEVICE = "new_device", _("signed in from a new device")
    SIGNED_OUT = "signed_out", _("signed out")
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere", _("signed out everywhere")
    TOKEN_REVOKED = "token_revoked", _("session ended by one of its tokens")
    ENDED_BY_USER = "ended_by_user", _("ended from another device")
    ENDED_BY_OPERATOR = "ended_by_operator", _("ended by an operator")
    REPLACED = "replaced", _("replaced by a new sign-in of the same installation")
    EVICTED = "evicted", _("evicted by the device limit")
    REUSE_DETECTED = "reuse_detected", _("ended: refresh token used twice")
    TWO_PLACES = "two_places", _("session renewed from two places")
    PASSWORD_CHANGED = "password_changed", _("password changed")
    PASSWORD_CHANGE_FAILED = "password_change_failed", _("failed change of the password")
    DEACTIVATED = "deactivated", _("account deactivated")
    DELETED = "deleted", _("account deleted")
    SIGN_IN_LIMITED = "sign_in_limited", _("too many failed sign-ins")
    PASSWORD_LOCKED = "password_locked", _("sign-in by password switched off")
    PASSWORD_UNLOCKED = "password_unlocked", _("sign-in by password switched on again")
    RATE_LIMITED = "rate_limited", _("rate limit crossed")


class AppendOnlyError(TypeError):
    """Raised for an attempt to change or delete what happened."""


class SecurityEventQuerySet(models.QuerySet["SecurityEvent"]):
    """Reads and appends; the sweep alone deletes, by a way of its own (authx.audit.retention)."""

    def bulk_create(
        self, objs: Iterable["SecurityEvent"], *args: Any, **kwargs: Any
    ) -> list["SecurityEvent"]:
        # All but the size of a batch is about rows that are there already.
        if any(args[1:]) or any(kwargs[name] for name in kwargs if name != "batch_size"):
            raise AppendOnlyError
        return super().bulk_create(objs, *args, **kwargs)

    def update(self, **kwargs: Any) -> Never:  # noqa: ARG002 -- Django's signature
        raise AppendOnlyError

    def delete(self) -> Never:
        raise AppendOnlyError


EventManager = models.Manager.from_queryset(SecurityEventQuerySet)


class PrimaryEventManager(EventManager["SecurityEvent"]):
    """Reads where sessions are written: an event and its fact share a transaction."""

    def get_queryset(self) -> SecurityEventQuerySet:
        return SecurityEventQuerySet(self.model, using=write_alias())


class PrimaryNotificationManager(models.Manager["Notification"]):
    """Reads where the events are."""

    def get_queryset(self) -> models.QuerySet["Notification"]:
        return super().get_queryset().using(write_alias())


class SecurityEvent(models.Model):
    """One thing that happened, as it was known then; never changed, outlives user and session."""

    created_at = models.DateTimeField(default=timezone.now)
    kind = models.CharField(max_length=32, choices=EventKind)
    # No constraint and no cascade: a deleted user's trail stays for its retention.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
    )
    # Of a sign-in under a name that nobody has: a keyed hash, for it may be a mistyped password.
    name_hash = models.CharField(max_length=64, blank=True)
    session_id = models.UUIDField(null=True)
    reason = models.CharField(max_length=64, blank=True)

    ip = models.GenericIPAddressField(null=True)
    user_agent = models.CharField(max_length=256, blank=True)
    request_id = models.CharField(max_length=64, blank=True)
    installation_id = models.CharField(max_length=128, blank=True)
    device_name = models.CharField(max_length=100, blank=True)
    platform = models.CharField(max_length=32, blank=True)

    # No column: whether the user gets a mail about it, where the kind is one of those.
    sends_notification = True

    objects = PrimaryEventManager()

    class Meta:
        verbose_name = _("security event")
        verbose_name_plural = _("security events")
        base_manager_name = "objects"
        indexes: ClassVar = [
            models.Index(fields=["created_at"], name="authx_event_created"),
            models.Index(fields=["user", "-created_at"], name="authx_event_user_created"),
            models.Index(
                fields=["user", "installation_id"],
                condition=Q(kind=EventKind.SIGNED_IN),
                name="authx_event_installation",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.kind} at {self.created_at}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError
        # Forced: Django would first try to update the row of a number that is taken.
        super().save(*args, **kwargs | {"force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> Never:  # noqa: ARG002 -- Django's signature
        raise AppendOnlyError


class Notification(models.Model):
    """A mail that is still to be sent about an event; gone once it is."""

    # Without a constraint the sweep deletes events whether or not anybody sends mail here.
    event = models.OneToOneField(
        SecurityEvent,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="+",
    )
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)

    objects = PrimaryNotificationManager()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["due_at"], name="authx_notification_due")]

    def __str__(self) -> str:
        return f"notice of event {self.event_id}, due at {self.due_at}"
