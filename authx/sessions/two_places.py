"""Events about a session that was renewed from two places.

That is a retry which the app probably did not send: its idempotency key differs from that of the
refresh that it repeats, or both its network and its user agent differ.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from authx.audit.events import build_event, record_events
from authx.context import current_context, network_of
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.sessions.locking import atomic

ANOTHER_KEY: Final = "another idempotency key"
ANOTHER_SOURCE: Final = "another source"
# At most one mail about a session in this time; events are recorded all the same.
MAIL_INTERVAL: Final = timedelta(days=1)
# An app that is told to retry later reads its store again, and finds the newer pair there.
LATE_DUPLICATE_WINDOW: Final = timedelta(minutes=10)


def record_two_places(session: DeviceSession, *, key_differs: bool, now: datetime) -> None:
    """Record that the newest pair was issued to a second place; the session does not end."""
    once = f"at generation {session.generation}"
    if _source_differs(session, key_differs=key_differs):
        _record_once(session, [f"{ANOTHER_SOURCE}, {once}"], now)
    elif key_differs:
        _record_once(session, [f"{ANOTHER_KEY}, {once}"], now)


def record_late_duplicate(session: DeviceSession, *, generation: int, now: datetime) -> bool:
    """Record the late duplicate of a refresh; return whether the app itself may have sent it.

    It has not if the first such duplicate was longer ago than LATE_DUPLICATE_WINDOW: then somebody
    copied the idempotency key together with the token.
    """
    reasons = [f"late duplicate of generation {generation}"]
    reasons.append(f"{ANOTHER_SOURCE}, {reasons[0]}")
    if _source_differs(session, key_differs=False):
        reasons.reverse()
    return now < _record_once(session, reasons, now) + LATE_DUPLICATE_WINDOW


def _source_differs(session: DeviceSession, *, key_differs: bool) -> bool:
    """Return whether network and user agent differ from those of the newest rotation.

    A phone that moves from Wi-Fi to a mobile network keeps its user agent, and an updated app
    keeps its network. If the idempotency key differs too, one of the two is enough: a thief can
    send any user agent.
    """
    context = current_context()
    agent_differs = session.last_user_agent != context.user_agent
    if session.last_ip is None or context.ip is None:
        return False
    moved = network_of(session.last_ip) != network_of(context.ip)
    return (moved or agent_differs) if key_differs else (moved and agent_differs)


def _record_once(session: DeviceSession, reasons: Sequence[str], now: datetime) -> datetime:
    """Record the first reason unless one of them is recorded already; return the earliest time.

    If the source differs, a mail is sent, at most one per MAIL_INTERVAL.
    """
    recorded = SecurityEvent.objects.filter(
        user_id=session.user_id, session_id=session.pk, kind=EventKind.TWO_PLACES
    )
    with atomic():
        # Locked, so that one of several parallel retries records it.
        locked = DeviceSession.objects.select_for_update(no_key=True).filter(pk=session.pk)
        list(locked.values("pk"))
        same = recorded.filter(reason__in=reasons).order_by("created_at")
        recorded_at: datetime | None = same.values_list("created_at", flat=True).first()
        if recorded_at is not None:
            return recorded_at
        event = build_event(EventKind.TWO_PLACES, session=session, reason=reasons[0])
        event.created_at = now
        notified = recorded.filter(
            reason__startswith=ANOTHER_SOURCE, created_at__gt=now - MAIL_INTERVAL
        )
        event.sends_notification = reasons[0].startswith(ANOTHER_SOURCE) and not notified.exists()
        record_events([event])
    return now
