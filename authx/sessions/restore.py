"""After a backup is restored: ends the sessions that, by the log, have ended or moved on since."""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError

from authx.audit.logs import LOG_EVENTS, SESSION_RENEWED
from authx.models import REVOCATIONS, DeviceSession, EventKind
from authx.sessions.revoke import revoke_several

ENDINGS: Final = frozenset(LOG_EVENTS[kind].name for kind in REVOCATIONS)
PASSWORD_CHANGED: Final = LOG_EVENTS[EventKind.PASSWORD_CHANGED].name
READ: Final = ENDINGS | {PASSWORD_CHANGED, SESSION_RENEWED.name}
# The reason of a record about all sessions of a user but perhaps one, or of everyone.
SEVERAL: Final = re.compile(r"\d+ sessions(?: of all users|, kept (?P<kept>\S+))?")
# What `docker compose logs` and `kubectl logs --prefix` write before a record, then a time, then
# the stream in a log file of Kubernetes. No other text may be there: a stranger could end a line of
# text, such as that of a path that was not found, with a record that he made up.
PREFIX: Final = re.compile(
    r"(?:\[pod/[^\s\]]+\] +|[\w.@-]+ +\| +)?"
    r"(?:\d{4}-\d\d-\d\dT[\d:.+Z-]+ +)?"
    r"(?:std(?:out|err) F +)?"
)
MENTIONS: Final = re.compile("|".join(map(re.escape, sorted(READ))))
BATCH: Final = 1000
EARLIEST: Final = datetime.min.replace(tzinfo=UTC)
LATEST: Final = datetime.max.replace(tzinfo=UTC)


@dataclass(slots=True)
class LoggedChanges:
    """What a log reports; its times are by the clock of the process that logged."""

    ended: set[UUID] = field(default_factory=set)
    # The newest generation.
    rotated: dict[UUID, int] = field(default_factory=dict)
    # By the primary key as text, when, and the session that was kept; the key None is everyone.
    signed_out: dict[str | None, list[tuple[datetime, UUID | None]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    passwords_changed: set[str] = field(default_factory=set)
    # How many records were read, and when the oldest and the newest were logged.
    read: int = 0
    oldest: datetime = LATEST
    newest: datetime = EARLIEST
    # How many lines mention such a change but could not be read, and the number of the first.
    unreadable: int = 0
    first_unreadable: int = 0

    def note_read(self, at: datetime) -> None:
        self.read += 1
        self.oldest, self.newest = min(self.oldest, at), max(self.newest, at)

    def note_unreadable(self, number: int) -> None:
        self.unreadable += 1
        self.first_unreadable = self.first_unreadable or number


def revoke_ahead_of_database(changes: LoggedChanges) -> int:
    """Revoke each session that the log knows to have ended, or to have rotated after its row.

    The log is that of all web servers since shortly before the backup. A session that the app has
    rotated is of no use to the app any more, and whoever has copied an older token could continue
    it. Returns how many sessions were revoked.
    """
    ids = [*_ended(changes), *_ahead(changes), *_signed_out(changes)]
    return sum(
        revoke_several(
            session_ids=batch, reason=EventKind.ENDED_BY_OPERATOR, detail="ahead of the database"
        )
        for batch in _batches(ids)
    )


def read_changes(lines: Iterable[str]) -> LoggedChanges:
    """Return what the records say of sessions: one JSON object a line, as containers deliver it."""
    changes = LoggedChanges()
    for number, line in enumerate(lines, start=1):
        record = _record(line)
        if record is None or "event" not in record:
            if MENTIONS.search(line):
                # Of another form, cut off, or inside of another object.
                changes.note_unreadable(number)
            continue
        try:
            if record["event"] in READ:
                changes.note_read(_read(record, changes))
        except (KeyError, TypeError, ValueError, ValidationError):
            # Of another program.
            changes.note_unreadable(number)
    return changes


def _read(record: Mapping[str, Any], changes: LoggedChanges) -> datetime:
    """Note what a record says, and return when it was logged."""
    at = datetime.fromisoformat(record["timestamp"])
    if at.tzinfo is None:
        raise ValueError("a time without a time zone")
    event, reason = record["event"], record.get("reason") or ""
    user_id = record.get("user_id") and str(record["user_id"])
    # The database would refuse another kind of key.
    get_user_model()._meta.pk.to_python(user_id)
    session_id = UUID(record["session_id"]) if record.get("session_id") else None
    several = SEVERAL.fullmatch(reason)
    if event == PASSWORD_CHANGED and user_id is not None:
        changes.passwords_changed.add(user_id)
        changes.signed_out[user_id].append((at, None))
    elif event in ENDINGS and several:
        changes.signed_out[user_id].append((at, UUID(several["kept"]) if several["kept"] else None))
    elif event in ENDINGS and session_id is not None:
        changes.ended.add(session_id)
    # A retry has no generation: it rotates nothing.
    elif event == SESSION_RENEWED.name and session_id is not None and record.get("generation"):
        known = changes.rotated.get(session_id, 0)
        changes.rotated[session_id] = max(known, int(record["generation"]))
    return at


def _record(line: str) -> dict[str, Any] | None:
    """Return the JSON object of a line, if it has one."""
    record = _object(line)
    # In a log file of Docker, the line is a string in another object.
    inner = record.get("log") if record else None
    return _object(inner) if isinstance(inner, str) else record


def _object(line: str) -> dict[str, Any] | None:
    prefix = PREFIX.match(line)
    try:
        found = json.loads(line[prefix.end() if prefix else 0 :])
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _ended(changes: LoggedChanges) -> Iterator[UUID]:
    for batch in _batches(changes.ended):
        yield from (
            DeviceSession.objects.unrevoked().filter(pk__in=batch).values_list("pk", flat=True)
        )


def _ahead(changes: LoggedChanges) -> Iterator[UUID]:
    for batch in _batches(changes.rotated):
        rows = DeviceSession.objects.unrevoked().filter(pk__in=batch)
        for session_id, generation in rows.values_list("pk", "generation"):
            if generation < changes.rotated[session_id]:
                yield session_id


def _signed_out(changes: LoggedChanges) -> Iterator[UUID]:
    """Yield sessions that were opened before their user was signed out everywhere."""
    everyone = changes.signed_out.pop(None, [])
    if everyone:
        latest = max(at for at, _ in everyone)
        rows = DeviceSession.objects.unrevoked().filter(created_at__lte=latest)
        yield from rows.values_list("pk", flat=True)
    for batch in _batches(changes.signed_out):
        rows = DeviceSession.objects.unrevoked().filter(user_id__in=batch)
        for session_id, user_id, created_at in rows.values_list("pk", "user_id", "created_at"):
            occasions = changes.signed_out[str(user_id)]
            if any(created_at <= at and session_id != kept for at, kept in occasions):
                yield session_id


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    found = list(dict.fromkeys(items))
    for start in range(0, len(found), BATCH):
        yield found[start : start + BATCH]
