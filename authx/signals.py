"""Signals for a project. They are sent after commit; a failing receiver fails no request.

session_opened: session (DeviceSession).
sessions_revoked: user_id, session_ids (list of UUID), sessions (list of EndedSession: id, user_id,
data), reason (EventKind), count, everywhere (bool: it was meant for all devices of the user). After
a command for several users, user_id is None; after one for all users, it is sent for each thousand
of sessions. For one that expires, nothing is sent.
token_reused: session_id (UUID), generation (int, of the token that was reused).

For monitoring, at once and as often as it happens:
security_event_logged: event (audit.logs.LogEvent), reason, user_id, session_id; every record of the
security log, rotations included.
rate_limit_refused: limits (the kinds of the limits that were full).
sweep_finished: report (sessions.sweep.SweepReport), seconds.
password_checks_changed: state ("running" or "waiting"), change (1 or -1, the number of checks).
"""

from typing import Any

from django.db import transaction
from django.dispatch import Signal

from authx.models import write_alias

session_opened = Signal()
sessions_revoked = Signal()
token_reused = Signal()

security_event_logged = Signal()
rate_limit_refused = Signal()
sweep_finished = Signal()
password_checks_changed = Signal()


def send_after_commit(signal: Signal, *, sender: Any, **named: Any) -> None:
    """Send once the current transaction is durable; Django logs the error of a receiver."""
    transaction.on_commit(lambda: signal.send_robust(sender=sender, **named), using=write_alias())
