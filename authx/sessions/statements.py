"""The statements of every request and refresh, compiled once."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final, cast
from uuid import UUID

from django.db import connections, models
from django.db.models import Expression, F
from django.db.models.functions import Coalesce, Now
from django.db.models.sql import UpdateQuery

from authx.errors import ConflictError
from authx.models import DeviceSession, DeviceSessionQuerySet, write_alias
from authx.sessions.compiled import CompiledSelect, CompiledUpdate, Parameter
from authx.sessions.values import EndedSession

# The columns that a rotation updates, none of them indexed.
ROTATION_COLUMNS: Final = (
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
# A decision takes a fraction of this; a process that takes longer reads again.
MAX_READ_AGE_SECONDS: Final = 2
# The fields of EndedSession.
RETURNED: Final = ("id", "user", "data")
ACCESS_TOKEN_COLUMNS: Final = ("digest", "created", "expiry", "access_nonce", "fresh_access_count")


def _parameter(name: str, field: str | None = None) -> Parameter:
    column: Any = DeviceSession._meta.get_field(field or name)
    return Parameter(name, column)


def _by_id() -> DeviceSessionQuerySet:
    sessions = DeviceSession.objects.select_related("user").annotate(read_at=Now())
    return sessions.filter(pk=_parameter("id"))


class IsRecent(Expression):
    """Whether a row was read at most MAX_READ_AGE_SECONDS ago, by the database's clock.

    A node that hung after its read, or waited for a lock, would otherwise write times that have
    passed: an expired token, a grace period that is over.
    """

    output_field = models.BooleanField()

    def as_postgresql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        stale = f"CLOCK_TIMESTAMP() - INTERVAL '{MAX_READ_AGE_SECONDS} seconds'"
        return f"%s > {stale}", [Parameter("read_at", models.DateTimeField())]

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        # Other databases are not meant for several nodes.
        return "%s IS NOT NULL", [Parameter("read_at", models.DateTimeField())]


def _unchanged() -> DeviceSessionQuerySet:
    """Match the row only if no use, rotation or revocation has changed it since it was read.

    It uses only columns of this row. A condition through a join becomes a subquery, which a process
    does not evaluate again after waiting for the row lock: two rotations would succeed.
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
        # A use in the meantime confirms the generation that this rotation consumes.
        last_used_at=_parameter("old_last_used_at", "last_used_at"),
        idle_expires_at__gt=_parameter("now", "rotated_at"),
    ),
    lambda: {name: _parameter(name) for name in ROTATION_COLUMNS},
)
_replace_access_token: Final = CompiledUpdate(
    _unchanged, lambda: {name: _parameter(name) for name in ACCESS_TOKEN_COLUMNS}
)
_note_use: Final = CompiledUpdate(
    lambda: _unchanged().filter(last_used_at=_parameter("old_last_used_at", "last_used_at")),
    lambda: {
        # Keep the first use: a parallel one must not extend the grace period.
        "confirmed_at": Coalesce(F("confirmed_at"), _parameter("last_used_at")),
        "last_used_at": _parameter("last_used_at"),
        "expiry": _parameter("expiry"),
    },
)


def find_session(session_id: UUID) -> DeviceSession | None:
    """Return a session with its user, and the database's clock as `read_at`."""
    return _select.get(using=write_alias(), id=session_id)


def rotate(session: DeviceSession, changes: Mapping[str, Any], now: datetime) -> None:
    """Write the next generation of a session that was just read; raises ConflictError."""
    old = _old(session) | {
        "old_auth_hash": session.auth_hash,
        "old_last_used_at": session.last_used_at,
        "now": now,
    }
    _apply(session, changes, _rotate.execute(using=write_alias(), **old, **changes))


def replace_access_token(session: DeviceSession, changes: Mapping[str, Any]) -> None:
    """Store another access token of the same generation; raises ConflictError."""
    changed = _replace_access_token.execute(using=write_alias(), **_old(session), **changes)
    _apply(session, changes, changed)


def note_use(session: DeviceSession, *, now: datetime, expiry: datetime) -> None:
    """Store the use of the newest access token, which confirms it; raises ConflictError."""
    old = _old(session) | {"old_last_used_at": session.last_used_at}
    changed = _note_use.execute(using=write_alias(), **old, last_used_at=now, expiry=expiry)
    confirmed_at = session.confirmed_at or now
    changes = {"confirmed_at": confirmed_at, "last_used_at": now, "expiry": expiry}
    _apply(session, changes, changed)


def _old(session: DeviceSession) -> dict[str, Any]:
    return {
        "id": session.pk,
        "old_generation": session.generation,
        "old_digest": session.digest,
        "read_at": vars(session)["read_at"],
    }


def _apply(session: DeviceSession, changes: Mapping[str, Any], count: int) -> None:
    """Set the written values on the object; raises ConflictError if no row was written."""
    if not count:
        raise ConflictError
    for name, value in changes.items():
        setattr(session, name, value)


def update_returning(sessions: DeviceSessionQuerySet, **values: Any) -> list[EndedSession]:
    """Update sessions in one statement, and return those that it changed.

    Django's update() returns only their number.
    """
    alias = write_alias()
    connection = connections[alias]
    query = cast("UpdateQuery", sessions.using(alias).query.chain(UpdateQuery))
    query.add_update_values(values)
    compiler: Any = query.get_compiler(using=alias)
    sql, parameters = compiler.as_sql()
    table: str = DeviceSession._meta.db_table
    fields: list[Any] = [DeviceSession._meta.get_field(name) for name in RETURNED]
    columns = [field.get_col(table) for field in fields]
    names = ", ".join(connection.ops.quote_name(column.target.column) for column in columns)
    with connection.cursor() as cursor:
        # Of Django and of the model; every value stays a parameter.
        cursor.execute(f"{sql} RETURNING {names}", parameters)
        rows = cursor.fetchall()
    converted = compiler.apply_converters(rows, compiler.get_converters(columns))
    return [EndedSession(*row) for row in converted]
