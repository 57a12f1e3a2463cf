"""After a backup is restored: ends the sessions that, by the log, have ended or moved on since."""

import json
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final
from uuid import UUID

from authx.audit.logs import LOG_EVENTS, SESSION_RENEWED
from authx.models import REVOCATIONS, DeviceSession, EventKind
from authx.sessions.revoke import revoke_several

ENDINGS: Final = frozenset(LOG_EVENTS[kind].name for kind in REVOCATIONS)
PASSWORD_CHANGED: Final = LOG_EVENTS[EventKind.PASSWORD_CHANGED].name
# The reason of a record about all sessions of a user, or of everyone.
SEVERAL: Final = re.compile(r"\d+ sessions( of all users)?")
# The log is written a moment after the rotation that it reports.
TOLERANCE: Final = timedelta(seconds=1)
BATCH: Final = 1000


@dataclass(slots=True)
class LoggedChanges:
    """What a log reports; the times are the latest, by the clock of the process that logged."""

    ended: set[UUID] = field(default_factory=set)
    rotated: dict[UUID, datetime] = field(default_factory=dict)
    # By the primary key as text; the key None is everyone.
    signed_out: dict[str | None, datetime] = field(default_factory=dict)
    passwords_changed: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class RestoreReport:
    """How many sessions were revoked, and whose password the database knows in an older form."""

    revoked: int
    passwords_changed: Sequence[str]


def revoke_ahead_of_database(lines: Iterable[str]) -> RestoreReport:
    """Revoke each session that the log knows to have ended, or to have rotated after its row.

    The log is that of all web servers since shortly before the backup, one JSON object a line;
    other lines are skipped. A session that the app has rotated is of no use to the app any more,
    and whoever has copied an older token could continue it.
    """
    changes = read_changes(lines)
    ids = [*_ended(changes), *_ahead(changes), *_signed_out(changes)]
    revoked = sum(
        revoke_several(
            session_ids=batch, reason=EventKind.ENDED_BY_OPERATOR, detail="ahead of the database"
        )
        for batch in _batches(ids)
    )
    return RestoreReport(revoked, sorted(changes.passwords_changed))


def read_changes(lines: Iterable[str]) -> LoggedChanges:
    """Return what the records say of sessions."""
    changes = LoggedChanges()
    for record in _records(lines):
        at = datetime.fromisoformat(record["timestamp"])
        event, reason, user_id = record["event"], record.get("reason") or "", record.get("user_id")
        session_id = record.get("session_id")
        if event == PASSWORD_CHANGED and user_id is not None:
            changes.passwords_changed.add(user_id)
            _note(changes.signed_out, user_id, at)
        elif event in ENDINGS and SEVERAL.fullmatch(reason):
            _note(changes.signed_out, user_id, at)
        elif event in ENDINGS and session_id is not None:
            changes.ended.add(UUID(session_id))
        # With a reason, it is a retry, which rotates nothing.
        elif event == SESSION_RENEWED.name and session_id is not None and not reason:
            _note(changes.rotated, UUID(session_id), at)
    return changes


def _records(lines: Iterable[str]) -> Iterator[dict[str, Any]]:
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict) and {"event", "timestamp"} <= record.keys():
            yield record


def _note(latest: dict[Any, datetime], key: Any, at: datetime) -> None:
    latest[key] = max(latest.get(key, at), at)


def _ended(changes: LoggedChanges) -> Iterator[UUID]:
    for batch in _batches(changes.ended):
        yield from (
            DeviceSession.objects.unrevoked().filter(pk__in=batch).values_list("pk", flat=True)
        )


def _ahead(changes: LoggedChanges) -> Iterator[UUID]:
    for batch in _batches(changes.rotated):
        rows = DeviceSession.objects.unrevoked().filter(pk__in=batch)
        for session_id, rotated_at in rows.values_list("pk", "rotated_at"):
            if rotated_at + TOLERANCE < changes.rotated[session_id]:
                yield session_id


def _signed_out(changes: LoggedChanges) -> Iterator[UUID]:
    """Yield sessions that were opened before their user was signed out everywhere."""
    everyone = changes.signed_out.pop(None, None)
    if everyone is not None:
        rows = DeviceSession.objects.unrevoked().filter(created_at__lte=everyone)
        yield from rows.values_list("pk", flat=True)
    for batch in _batches(changes.signed_out):
        rows = DeviceSession.objects.unrevoked().filter(user_id__in=batch)
        for session_id, user_id, created_at in rows.values_list("pk", "user_id", "created_at"):
            if created_at <= changes.signed_out[str(user_id)]:
                yield session_id


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    found = list(dict.fromkeys(items))
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]
