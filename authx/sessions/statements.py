"""The statements that every request and every refresh consists of, compiled once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.db import models
from django.db.models import Expression, F
from django.db.models.functions import Coalesce, Now

from authx.errors import ConflictError
from authx.models import DeviceSession, DeviceSessionQuerySet, write_alias
from authx.sessions.compiled import CompiledSelect, CompiledUpdate, Parameter

# What a rotation changes: all of it on the row itself, none of it indexed.
ROTATED: Final = (
    "digest",
    "created",
    "expiry",
    "access_nonce",
    "fresh_access_count",
    "generation",
    "refresh_digest",
    "refresh_nonce",
    "idempotency_digests",
    "rotated_at",
    "confirmed_at",
    "recent",
    "auth_hash",
    "idle_expires_at",
    "last_used_at",
    "last_ip",
    "last_user_agent",
)
# A decision takes a fraction of this; whoever takes longer reads again.
MAX_READ_AGE_SECONDS: Final = 2
REPLACED: Final = ("digest", "created", "expiry", "access_nonce", "fresh_access_count")


def _parameter(name: str, field: str | None = None) -> Parameter:
    column: Any = DeviceSession._meta.get_field(field or name)
    return Parameter(name, column)


def _by_id() -> DeviceSessionQuerySet:
    sessions = DeviceSession.objects.select_related("user").annotate(read_at=Now())
    return sessions.filter(pk=_parameter("id"))


class IsRecent(Expression):
    """Says whether the instant of a read is at most a moment ago, by the database's clock.

    What a node decided that then hung, or waited for a lock, would otherwise be written as if it
    were the time of the read: a token born expired, a grace period that is over.
    """

    output_field = models.BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # noqa: ARG002
        stale = f"CLOCK_TIMESTAMP() - INTERVAL '{MAX_READ_AGE_SECONDS} seconds'"
        return f"%s > {stale}", [Parameter("read_at", models.DateTimeField())]

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:  # noqa: ARG002
        # Only PostgreSQL is for nodes that may hang.
        return "%s IS NOT NULL", [Parameter("read_at", models.DateTimeField())]


def _unchanged() -> DeviceSessionQuerySet:
    """Return the row as it was read, unless a use, a rotation or a revocation changed it since.

    Only columns of this very row: a condition through a join becomes a subquery, which a process
    that waited for the row lock would not evaluate anew, and two would win.
    """
    return (
        DeviceSession.objects.unrevoked()
        .filter(
            pk=_parameter("id"),
            generation=_parameter("old_generation", "generation"),
            digest=_parameter("old_digest", "digest"),
        )
        .filter(IsRecent())
    )


_select: Final = CompiledSelect(_by_id)
_rotate: Final = CompiledUpdate(
    lambda: _unchanged().filter(
        auth_hash=_parameter("old_auth_hash", "auth_hash"),
        # A use in between confirms the generation that is consumed here.
        last_used_at=_parameter("old_last_used_at", "last_used_at"),
        idle_expires_at__gt=_parameter("now", "rotated_at"),
    ),
    lambda: {name: _parameter(name) for name in ROTATED},
)
_replace_access_token: Final = CompiledUpdate(
    _unchanged, lambda: {name: _parameter(name) for name in REPLACED}
)
_note_use: Final = CompiledUpdate(
    lambda: _unchanged().filter(last_used_at=_parameter("old_last_used_at", "last_used_at")),
    lambda: {
        # The first use counts: a later one that saw none yet must not lengthen the grace period.
        "confirmed_at": Coalesce(F("confirmed_at"), _parameter("last_used_at")),
        "last_used_at": _parameter("last_used_at"),
        "expiry": _parameter("expiry"),
    },
)


def find_session(session_id: UUID) -> DeviceSession | None:
    """Return a session as it is now, its user loaded, with the database's clock as `read_at`."""
    return _select.get(using=write_alias(), id=session_id)


def rotate(session: DeviceSession, changes: Mapping[str, Any], now: datetime) -> None:
    """Move a session that was just read to its next generation; raises ConflictError."""
    old = _old(session) | {
        "old_auth_hash": session.auth_hash,
        "old_last_used_at": session.last_used_at,
        "now": now,
    }
    _settle(session, changes, _rotate.execute(using=write_alias(), **old, **changes))


def replace_access_token(session: DeviceSession, changes: Mapping[str, Any]) -> None:
    """Store another access token of the same generation; raises ConflictError."""
    changed = _replace_access_token.execute(using=write_alias(), **_old(session), **changes)
    _settle(session, changes, changed)


def note_use(session: DeviceSession, *, now: datetime, expiry: datetime) -> None:
    """Note that the newest access token was used, which confirms it; raises ConflictError."""
    old = _old(session) | {"old_last_used_at": session.last_used_at}
    changed = _note_use.execute(using=write_alias(), **old, last_used_at=now, expiry=expiry)
    confirmed_at = session.confirmed_at or now
    changes = {"confirmed_at": confirmed_at, "last_used_at": now, "expiry": expiry}
    _settle(session, changes, changed)


def _old(session: DeviceSession) -> dict[str, Any]:
    return {
        "id": session.pk,
        "old_generation": session.generation,
        "old_digest": session.digest,
        "read_at": vars(session)["read_at"],
    }


def _settle(session: DeviceSession, changes: Mapping[str, Any], count: int) -> None:
    """Let the object show what was written; raises ConflictError where nothing was."""
    if not count:
        raise ConflictError
    for name, value in changes.items():
        setattr(session, name, value)
