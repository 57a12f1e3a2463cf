"""The audit trail: security events, and the notifications that are still to be sent."""

from collections.abc import Iterable
from typing import Any, ClassVar, Never

from django.conf import settings
from django.db import models
from django.utils import timezone
from django.utils.formats import date_format
from django.utils.translation import gettext_lazy as _

from authx.models.event_kinds import EventKind
from authx.models.sessions import PrimaryManager, write_alias


class AppendOnlyError(TypeError):
    """Raised for an attempt to change or delete a security event."""

    def __init__(self) -> None:
        super().__init__("Security events cannot be changed or deleted.")


class SecurityEventQuerySet(models.QuerySet["SecurityEvent"]):
    """Reads and appends. The sweep and `audit.erasure` go round this class on purpose."""

    def bulk_create(
        self, objs: Iterable["SecurityEvent"], *args: Any, **kwargs: Any
    ) -> list["SecurityEvent"]:
        # Every option but batch_size concerns existing rows.
        if any(args[1:]) or any(kwargs[name] for name in kwargs if name != "batch_size"):
            raise AppendOnlyError
        return super().bulk_create(objs, *args, **kwargs)

    def update(self, **kwargs: Any) -> Never:
        raise AppendOnlyError

    def delete(self) -> Never:
        raise AppendOnlyError


EventManager = models.Manager.from_queryset(SecurityEventQuerySet)


class PrimaryEventManager(EventManager["SecurityEvent"]):
    """Reads from the database of the sessions: an event and its cause share a transaction."""

    def get_queryset(self) -> SecurityEventQuerySet:
        return SecurityEventQuerySet(self.model, using=write_alias())


class SecurityEvent(models.Model):
    """What happened, as it was known then; not changed, and kept when user and session are gone."""

    created_at = models.DateTimeField(_("time"), default=timezone.now)
    kind = models.CharField(_("event"), max_length=32, choices=EventKind)
    # No constraint and no cascade: the events of a deleted user are kept for their retention.
    user = models.ForeignKey(
        settings.AUTH_USER_MODEL,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        db_index=False,
        null=True,
        related_name="+",
        verbose_name=_("user"),
    )
    # Where the user was deleted, instead of `user`: a later user may get the same primary key.
    former_user_id = models.CharField(
        _("primary key of a deleted user"), max_length=255, blank=True, default=""
    )
    session_id = models.UUIDField(_("session ID"), null=True)
    reason = models.CharField(_("detail"), max_length=64, blank=True)

    ip = models.GenericIPAddressField(_("IP address"), null=True)
    user_agent = models.CharField(_("user agent"), max_length=256, blank=True)
    request_id = models.CharField(_("request ID"), max_length=64, blank=True)
    installation_id = models.CharField(_("installation ID"), max_length=128, blank=True)
    # That of the session; a sign-in makes a device known (devices.py).
    device_id = models.UUIDField(null=True, editable=False)
    device_name = models.CharField(_("device name"), max_length=100, blank=True)
    platform = models.CharField(_("platform"), max_length=32, blank=True)

    # Not a column: whether the event is mailed, if its kind is one of audit.events.NOTIFIED.
    sends_notification = True

    objects = PrimaryEventManager()

    class Meta:
        verbose_name = _("security event")
        verbose_name_plural = _("security events")
        base_manager_name = "objects"
        indexes: ClassVar = [
            models.Index(fields=["created_at"], name="authx_event_created"),
            models.Index(fields=["user", "-created_at"], name="authx_event_user_created"),
        ]

    def __str__(self) -> str:
        at = date_format(timezone.localtime(self.created_at), "DATETIME_FORMAT")
        return f"{self.get_kind_display()}, {at}"

    def save(self, *args: Any, **kwargs: Any) -> None:
        if not self._state.adding:
            raise AppendOnlyError
        # Forced: otherwise Django first tries to update a row with this primary key.
        super().save(*args, **kwargs | {"force_insert": True})

    def delete(self, *args: Any, **kwargs: Any) -> Never:
        raise AppendOnlyError


class Notification(models.Model):
    """A mail about an event that is still to be sent; deleted once it is sent."""

    # No constraint, so that the sweep can delete events even if no worker sends mail.
    event = models.OneToOneField(
        SecurityEvent,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        primary_key=True,
        related_name="+",
    )
    due_at = models.DateTimeField(default=timezone.now)
    attempts = models.PositiveSmallIntegerField(default=0)
    # That of the request which caused the event.
    language = models.CharField(max_length=35, blank=True)

    objects = PrimaryManager["Notification"]()

    class Meta:
        indexes: ClassVar = [models.Index(fields=["due_at"], name="authx_notification_due")]

    def __str__(self) -> str:
        return f"notification of event {self.event_id}, due at {self.due_at}"
