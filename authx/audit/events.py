"""The audit trail: SecurityEvent rows, written in the transaction of what they report."""

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Final

from django.db import models
from django.db.models import BigAutoField, Subquery
from django.db.models.functions import Coalesce

from authx import clock, conf
from authx.audit.languages import current_language
from authx.audit.logs import (
    LOG_EVENTS,
    NOTIFICATION_DROPPED,
    SUCCESS_AFTER_FAIL,
    log_event,
    log_event_after_commit,
)
from authx.context import current_context
from authx.models import DeviceSession, EventKind, Notification, SecurityEvent

# The kinds that send the user a mail.
NOTIFIED: Final = frozenset(
    {
        EventKind.NEW_DEVICE,
        EventKind.REUSE_DETECTED,
        EventKind.TWO_PLACES,
        EventKind.PASSWORD_CHANGED,
        EventKind.RECOVERY_REQUESTED,
        # At most once a day (`record_daily`).
        EventKind.SIGN_IN_LIMITED,
        EventKind.PASSWORD_LOCKED,
    }
)
# The reason of an event whose mail is not sent, although its kind is.
NOT_SENT: Final = "too many mails"
DAILY: Final = timedelta(days=1)
MAX_REASON_LENGTH: Final = 64
# A primary key that no event has.
BEYOND_ALL: Final = BigAutoField.MAX_BIGINT
# Unsent mail is kept this long at least.
MAIL_LIFETIME: Final = timedelta(days=1)
# The reason of a sign-in whose predecessor failed.
AFTER_FAILURE: Final = "after_failure"


def build_event(
    kind: EventKind,
    *,
    user_id: Any = None,
    session: DeviceSession | None = None,
    reason: str = "",
) -> SecurityEvent:
    """Return an unsaved event of the current request; `user_id` defaults to the session's."""
    context = current_context()
    event = SecurityEvent(
        kind=kind,
        user_id=user_id,
        reason=reason[:MAX_REASON_LENGTH],
        ip=context.ip,
        user_agent=context.user_agent,
        request_id=context.request_id,
    )
    if session is not None:
        event.user_id = session.user_id if user_id is None else user_id
        event.session_id = session.pk
        event.installation_id, event.device_id = session.installation_id, session.device_id
        event.device_name, event.platform = session.name, session.platform
    return event


def record_event(
    *,
    kind: EventKind,
    user_id: Any = None,
    session: DeviceSession | None = None,
    reason: str = "",
    is_mailed: bool = True,
) -> None:
    """Write one event; see `build_event`. It is mailed if its kind is, unless told otherwise."""
    event = build_event(kind, user_id=user_id, session=session, reason=reason)
    event.sends_notification = is_mailed
    record_events([event])


def record_daily(*, kind: EventKind, user_id: Any, reason: str = "") -> None:
    """Write an event that is mailed unless the same one, with its reason, was within a day."""
    event = build_event(kind, user_id=user_id, reason=reason)
    earlier = SecurityEvent.objects.filter(
        user_id=user_id, kind=kind, reason=reason, created_at__gt=clock.database_now() - DAILY
    )
    event.sends_notification = not earlier.exists()
    record_events([event])


def record_events(events: Sequence[SecurityEvent]) -> None:
    """Write events in one statement, and the notifications about them in another.

    An event that cannot be written fails the transaction, so what it reports is rolled back too.
    """
    written = SecurityEvent.objects.bulk_create(events)
    notified = [event for event in written if event.kind in NOTIFIED and event.sends_notification]
    if notified:
        Notification.objects.bulk_create(
            [
                # The mail is sent later, by a process that knows nothing of the request.
                Notification(event=event, due_at=clock.database_now(), language=current_language())
                for event in notified
            ]
        )
    for event in written:
        _log_after_commit(event)


def _log_after_commit(event: SecurityEvent) -> None:
    log_record = LOG_EVENTS[event.kind]
    if event.kind == EventKind.SIGNED_IN and event.reason == AFTER_FAILURE:
        log_record = SUCCESS_AFTER_FAIL
    log_event_after_commit(
        log_record,
        user_id=event.user_id,
        session_id=event.session_id,
        reason=event.reason or event.kind,
    )


def expired_events(now: clock.Instant) -> models.QuerySet[SecurityEvent]:
    """Return the events that are older than their retention, oldest first.

    The sweep deletes them. One whose mail is still to be sent stays, and so do those after it.
    """
    cutoff = now - conf.event_retention()
    unsent = Notification.objects.order_by("event_id").values("event_id")[:1]
    expired = SecurityEvent.objects.filter(created_at__lte=cutoff)
    # By the first one, which costs less than to look each of them up.
    expired = expired.filter(pk__lt=Coalesce(Subquery(unsent), BEYOND_ALL))
    return expired.order_by("created_at")


def expired_notifications(now: clock.Instant) -> models.QuerySet[Notification]:
    """Return the notifications that were not sent within the retention of their events.

    However short that is, a mail server may be away for a day.
    """
    cutoff = now - max(conf.event_retention(), MAIL_LIFETIME)
    return Notification.objects.filter(due_at__lte=cutoff).order_by("due_at")


def log_dropped_notifications(count: int) -> None:
    """Log how many mails were never sent."""
    if count:
        log_event(NOTIFICATION_DROPPED, reason=f"{count} never sent")
