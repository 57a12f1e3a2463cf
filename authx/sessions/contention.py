"""Lost races: another process was faster, or PostgreSQL chose this one to step back."""

from collections.abc import Callable
from typing import Final, TypeVar

from django.db import DatabaseError, connections, router

from authx.errors import ContentionError
from authx.models import DeviceSession

T = TypeVar("T")

# A loss means that somebody else moved the row on, and a session has few ways to go.
ATTEMPTS: Final = 10
# Serialization failure and deadlock: nothing of the transaction was done, so it is done again.
STEPPED_BACK: Final = frozenset({"40001", "40P01"})


def until_settled(attempt: Callable[[], T | None]) -> T:
    """Return the first answer of `attempt` that is not None, which means: lost, read again.

    Raises ContentionError when every attempt was lost.
    """
    for _ in range(ATTEMPTS):
        try:
            answer = attempt()
        except DatabaseError as error:
            if not _may_try_again(error):
                raise
        else:
            if answer is not None:
                return answer
    raise ContentionError


def _may_try_again(error: DatabaseError) -> bool:
    stepped_back = getattr(error.__cause__, "sqlstate", None) in STEPPED_BACK
    # Of somebody else's transaction, more was undone than can be done again here.
    database = connections[router.db_for_write(DeviceSession)]
    return stepped_back and not database.in_atomic_block
