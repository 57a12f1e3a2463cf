"""Tells the user of a device whose session was renewed from two places.

A retry that the app did not make itself, as far as can be told: it came with another idempotency
key than the refresh that it repeats, or from another network and another user agent.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

from authx.audit.events import build_event, record_events
from authx.context import RequestContext, network_of
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.sessions.locking import atomic

ANOTHER_KEY: Final = "another idempotency key"
ANOTHER_SOURCE: Final = "another source"
# At most one mail about a session in so long; the events go on.
MAIL_INTERVAL: Final = timedelta(days=1)
# An app that is told to wait reads its store again; what still comes after so long is no app.
PATIENCE: Final = timedelta(minutes=10)


def record_two_places(
    session: DeviceSession, *, key_differs: bool, source: RequestContext, now: datetime
) -> None:
    """Record that the newest pair was handed out to a second place; it ends nothing by itself."""
    once = f"at generation {session.generation}"
    if _source_differs(session, source, key_differs=key_differs):
        _record_once(session, [f"{ANOTHER_SOURCE}, {once}"], now)
    elif key_differs:
        _record_once(session, [f"{ANOTHER_KEY}, {once}"], now)


def may_be_late_duplicate(
    session: DeviceSession, *, generation: int, source: RequestContext, now: datetime
) -> bool:
    """Record the late duplicate of a refresh, and say whether it may still be the app's own.

    It is not if the same one came long before: then the key was copied together with the token.
    """
    reasons = [f"late duplicate of generation {generation}"]
    reasons.append(f"{ANOTHER_SOURCE}, {reasons[0]}")
    if _source_differs(session, source, key_differs=False):
        reasons.reverse()
    return now < _record_once(session, reasons, now) + PATIENCE


def _source_differs(session: DeviceSession, source: RequestContext, *, key_differs: bool) -> bool:
    """Say whether network and user agent differ from those of the newest rotation.

    A phone that moves from Wi-Fi to a mobile network keeps its user agent; an app that was updated
    keeps its network. Where the key differs too, one of the two is enough: a thief names himself as
    he likes.
    """
    agent_differs = session.last_user_agent != source.user_agent
    if session.last_ip is None or source.ip is None:
        return False
    moved = network_of(session.last_ip) != network_of(source.ip)
    return (moved or agent_differs) if key_differs else (moved and agent_differs)


def _record_once(session: DeviceSession, reasons: Sequence[str], now: datetime) -> datetime:
    """Record the first of some reasons, unless one of them is; return when the earliest was.

    Mailed where the source differs, at most once a MAIL_INTERVAL.
    """
    recorded = SecurityEvent.objects.filter(
        user_id=session.user_id, session_id=session.pk, kind=EventKind.TWO_PLACES
    )
    with atomic():
        # Held, so that of retries side by side one records.
        locked = DeviceSession.objects.select_for_update(no_key=True).filter(pk=session.pk)
        list(locked.values("pk"))
        same = recorded.filter(reason__in=reasons).order_by("created_at")
        recorded_at: datetime | None = same.values_list("created_at", flat=True).first()
        if recorded_at is not None:
            return recorded_at
        event = build_event(EventKind.TWO_PLACES, session=session, reason=reasons[0])
        event.created_at = now
        mailed = recorded.filter(
            reason__startswith=ANOTHER_SOURCE, created_at__gt=now - MAIL_INTERVAL
        )
        event.sends_notification = reasons[0].startswith(ANOTHER_SOURCE) and not mailed.exists()
        record_events([event])
    return now
