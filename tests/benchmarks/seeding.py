"""Fills the database of authx with sessions, each a copy of a real one."""

from typing import Final

from django.contrib.auth.models import User
from django.db import connection, models

from authx.models import DeviceSession
from tests.benchmarks.copying import copy_row

SESSIONS_PER_USER: Final = 5
NO_AGE: Final = "0 days"
# Long past every lifetime and retention.
ENDED_AGE: Final = "400 days"


def add_users(count: int) -> int:
    """Copy a user so many times, and return the primary key of the first copy."""
    original = User.objects.earliest("pk")
    last = User.objects.latest("pk")
    copy_row(User, original.pk, count, username=f"'copy ' || number || ' after {last.pk}'")
    first: int = User.objects.filter(pk__gt=last.pk).earliest("pk").pk
    return first


def add_sessions(key: str, count: int, *, age: str = NO_AGE) -> None:
    """Copy a session so many times, for users of a few devices each, and as much older as said.

    The session must be of no installation, because an installation has one.
    """
    users = max(count // SESSIONS_PER_USER, 1)
    first = add_users(users)
    expressions = {"id": "gen_random_uuid()", "user_id": f"{first} + number %% {users}"}
    for field in DeviceSession._meta.concrete_fields:
        if isinstance(field, models.DateTimeField):
            expressions[field.attname] = f"original.\"{field.column}\" - interval '{age}'"
    copy_row(DeviceSession, key, count, **expressions)
    settle()


def settle() -> None:
    """Leave tables as they are in life: vacuumed, with statistics, and written to disk."""
    with connection.cursor() as cursor:
        cursor.execute("VACUUM ANALYZE")
        cursor.execute("CHECKPOINT")
