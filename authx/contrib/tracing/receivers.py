"""Adds each security event to the span of its request or task."""

from typing import Any, Final
from uuid import UUID

from opentelemetry.trace import get_current_span

from authx.audit.logs import LogEvent
from authx.conf import authx_setting
from authx.signals import security_event_logged

UID: Final = "authx.contrib.tracing"
SESSION_ID: Final = "authx.session_id"
# Followed by the name of the event; the value is its outcome. A request may have several events.
EVENT: Final = "authx.event."


def connect() -> None:
    """Receive security events; called when Django has loaded the apps."""
    security_event_logged.connect(trace_event, dispatch_uid=UID)


def trace_event(event: LogEvent, session_id: UUID | None, **_: Any) -> None:
    """Name an event and its session; without a trace, the current span ignores it."""
    span = get_current_span()
    span.set_attribute(EVENT + event.name, "success" if event.succeeded else "failure")
    if session_id is not None and authx_setting("TRACE_SESSION_ID"):
        span.set_attribute(SESSION_ID, str(session_id))
