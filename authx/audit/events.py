"""Writes what happened, in the transaction it happened in, and logs it once that is durable."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, Final

from authx.audit.logs import log_event_after_commit
from authx.audit.vocabulary import LOG_EVENTS, SUCCESS_AFTER_FAIL
from authx.context import current_context
from authx.models import DeviceSession, EventKind, Notification, SecurityEvent

# What a user is told of by mail.
NOTIFIED: Final = frozenset(
    {
        EventKind.NEW_DEVICE,
        EventKind.REUSE_DETECTED,
        EventKind.TWO_PLACES,
        EventKind.PASSWORD_CHANGED,
    }
)
MAX_REASON_LENGTH: Final = 64
# The reason of a sign-in whose predecessor had failed.
AFTER_FAILURE: Final = "after_failure"

# The session on whose behalf a model is saved, for those who hear only of the save.
_acting: ContextVar[DeviceSession | None] = ContextVar("authx_acting_session", default=None)


@contextmanager
def on_behalf_of(session: DeviceSession) -> Iterator[None]:
    """Ascribe to a session what is recorded in a block without naming one."""
    marker = _acting.set(session)
    try:
        yield
    finally:
        _acting.reset(marker)


def build_event(
    kind: EventKind,
    *,
    user_id: Any = None,
    session: DeviceSession | None = None,
    reason: str = "",
    name_hash: str = "",
) -> SecurityEvent:
    """Return an unsaved event of the request under way; the user is the session's by default."""
    session = session or _acting.get()
    source = current_context()
    event = SecurityEvent(
        kind=kind,
        user_id=user_id,
        reason=reason[:MAX_REASON_LENGTH],
        name_hash=name_hash,
        ip=source.ip,
        user_agent=source.user_agent,
        request_id=source.request_id,
    )
    if session is not None:
        event.user_id = session.user_id if user_id is None else user_id
        event.session_id = session.pk
        event.installation_id = session.installation_id
        event.device_name, event.platform = session.name, session.platform
    return event


def record_event(
    *,
    kind: EventKind,
    user_id: Any = None,
    session: DeviceSession | None = None,
    reason: str = "",
    name_hash: str = "",
) -> None:
    """Write one event; see `build_event`."""
    event = build_event(kind, user_id=user_id, session=session, reason=reason, name_hash=name_hash)
    record_events([event])


def record_events(events: Sequence[SecurityEvent]) -> None:
    """Write events in one statement, and what is to be mailed of them in another.

    No trail, no deed: where an event cannot be written, what it tells is rolled back.
    """
    written = SecurityEvent.objects.bulk_create(events)
    mailed = [event for event in written if event.kind in NOTIFIED and event.sends_notification]
    if mailed:
        Notification.objects.bulk_create(
            [Notification(event=event, due_at=event.created_at) for event in mailed]
        )
    for event in written:
        _tell_after_commit(event)


def _tell_after_commit(event: SecurityEvent) -> None:
    entry = LOG_EVENTS[event.kind]
    if event.kind == EventKind.SIGNED_IN and event.reason == AFTER_FAILURE:
        entry = SUCCESS_AFTER_FAIL
    log_event_after_commit(
        entry,
        user_id=event.user_id,
        session_id=event.session_id,
        reason=event.reason or event.kind,
    )
