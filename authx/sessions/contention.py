"""Lost races: another process changed the row between the read and the conditional write."""

from collections.abc import Callable
from typing import TypeVar

from authx.errors import ContentionError

T = TypeVar("T")

# A loss means that somebody else moved the row on, and a session has few ways to go.
ATTEMPTS = 10


def until_settled(attempt: Callable[[], T | None]) -> T:
    """Return the first answer of `attempt` that is not None, which means: lost, read again.

    Raises ContentionError when every attempt was lost.
    """
    for _ in range(ATTEMPTS):
        answer = attempt()
        if answer is not None:
            return answer
    raise ContentionError
