"""Tells the user of a device whose session was renewed from two places.

A retry that the app did not make itself, as far as can be told: it came with another idempotency
key than the refresh that it repeats, or from another network and another user agent.
"""

from django.db import transaction

from authx.context import Source, network_of
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.trail.recording import ANOTHER_KEY, ANOTHER_SOURCE, record


def note_two_places(session: DeviceSession, *, key_differs: bool, source: Source) -> None:
    """Record that the newest pair was handed out to a second place; it ends nothing by itself."""
    if _source_differs(session, source):
        _record_once(session, ANOTHER_SOURCE)
    elif key_differs:
        _record_once(session, ANOTHER_KEY)


def _source_differs(session: DeviceSession, source: Source) -> bool:
    """Say whether network and user agent differ from those of the newest rotation.

    A phone that moves from Wi-Fi to a mobile network keeps its user agent; an app that was updated
    keeps its network.
    """
    if session.last_ip is None or source.ip is None:
        return False
    moved = network_of(session.last_ip) != network_of(source.ip)
    return moved and session.last_user_agent != source.user_agent


def _record_once(session: DeviceSession, cause: str) -> None:
    """Record once a generation, however often its pair is asked for again."""
    kind, reason = EventKind.TWO_PLACES, f"{cause}, generation {session.generation}"
    recorded = SecurityEvent.objects.filter(
        user_id=session.user_id, session_id=session.pk, kind=kind, reason=reason
    )
    with transaction.atomic():
        # Held, so that of retries side by side one records.
        list(
            DeviceSession.objects.select_for_update(no_key=True).filter(pk=session.pk).values("pk")
        )
        if not recorded.exists():
            record(kind=kind, session=session, reason=reason)
