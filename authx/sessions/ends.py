"""Tells a project which sessions have ended: the signal `sessions_revoked`."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

from django.db import transaction

from authx.models import DeviceSession, EventKind, write_alias
from authx.sessions.values import EndedSession
from authx.signals import send_after_commit, sessions_revoked

# How many sessions one signal names after a command for all users.
PART: Final = 1000


def tell_ended(
    sessions: Sequence[EndedSession], *, user_id: Any, reason: EventKind, everywhere: bool = False
) -> None:
    """Send the signal after the commit, if there is anything to tell."""
    if sessions:
        told = _told(sessions, user_id=user_id, reason=reason, everywhere=everywhere)
        send_after_commit(sessions_revoked, sender=DeviceSession, **told)


def tell_all_ended(*, revoked_at: datetime, reason: EventKind) -> None:
    """Send the signals for the sessions of all users that one statement ended at this time.

    They are read after the commit and told in parts, so that memory is needed for one part only.
    """
    ended = DeviceSession.objects.filter(revoked_at=revoked_at, revoked_reason=reason)
    rows = ended.values_list("id", "user_id", "data")

    def send() -> None:
        if not sessions_revoked.has_listeners(DeviceSession):
            return
        sessions = (EndedSession(*row) for row in rows.iterator(chunk_size=PART))
        while part := list(islice(sessions, PART)):
            told = _told(part, user_id=None, reason=reason, everywhere=True)
            sessions_revoked.send_robust(sender=DeviceSession, **told)

    # The sessions have ended: an outage while they are read is logged, and fails nothing.
    transaction.on_commit(send, using=write_alias(), robust=True)


def _told(
    sessions: Iterable[EndedSession], *, user_id: Any, reason: EventKind, everywhere: bool
) -> dict[str, Any]:
    ended = list(sessions)
    return {
        "user_id": user_id,
        "session_ids": [session.id for session in ended],
        "sessions": ended,
        "reason": reason,
        "count": len(ended),
        "everywhere": everywhere,
    }
