"""What is known of the request under way: set where it enters, read by the trail and the logs."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Source:
    """Where a request came from, as far as the network tells, and how it is called in the logs."""

    ip: str | None = None
    user_agent: str = ""
    request_id: str = ""
    method: str = ""
    path: str = ""


# Where a request carries its own, for what is said of it when the context is left already.
SOURCE_KEY: Final = "authx.source"

# A command or a task has no request: its source says nothing.
_current: ContextVar[Source] = ContextVar("authx_source", default=Source())  # noqa: B039 -- frozen


def current_source() -> Source:
    return _current.get()


@contextmanager
def within(source: Source) -> Iterator[None]:
    """Make a source the current one for a block."""
    marker = _current.set(source)
    try:
        yield
    finally:
        _current.reset(marker)
