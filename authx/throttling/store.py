"""Where attempts are counted: a server that all processes share, and this process without it."""

import logging
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Final, TypeVar

from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from authx import conf

logger = logging.getLogger(__name__)

T = TypeVar("T")

PER_PROCESS: Final = "memory://"
SHARED: Final = ("redis://", "rediss://", "redis+unix://", "valkey://", "valkeys://")
# For each of connecting and answering: a request waits twice as long at most for a dead server.
TIMEOUT_SECONDS: Final = 0.2
# While the server is away, one request asks for it as often as this; no other waits.
PROBE_INTERVAL_SECONDS: Final = 5


class Store:
    """A moving-window limiter that goes on counting, for this process alone, without its server.

    A server that answers with errors (read-only, out of memory, loading) is as good as away.
    """

    def __init__(self, url: str) -> None:
        options = {} if url == PER_PROCESS else _bounds()
        shared = storage_from_string(url, wrap_exceptions=True, **options)
        self._shared = MovingWindowRateLimiter(shared)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._lock = Lock()
        # When to ask again for a server that is away; None while it is there.
        self._probe_at: float | None = None

    def ask(self, question: Callable[[MovingWindowRateLimiter], T]) -> T:
        """Return what the shared limiter says, or this process's own while that one is away."""
        if self._may_ask_shared():
            try:
                answer = question(self._shared)
            except StorageError as error:
                self._note_away(error)
            else:
                self._note_back()
                return answer
        return question(self._own)

    def _may_ask_shared(self) -> bool:
        with self._lock:
            if self._probe_at is None:
                return True
            due = self._probe_at <= monotonic()
            if due:
                # Moved on before the answer is known: everybody else goes on without waiting.
                self._probe_at = monotonic() + PROBE_INTERVAL_SECONDS
            return due

    def _note_away(self, error: StorageError) -> None:
        with self._lock:
            was_there = self._probe_at is None
            self._probe_at = monotonic() + PROBE_INTERVAL_SECONDS
        if was_there:
            logger.error("rate limits count in this process only, the store is away: %s", error)

    def _note_back(self) -> None:
        with self._lock:
            was_away, self._probe_at = self._probe_at is not None, None
        if was_away:
            logger.warning("rate limits count for all processes again, the store is back")


def _bounds() -> dict[str, float | str | bool]:
    return {
        "key_prefix": "authx",
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "socket_timeout": TIMEOUT_SECONDS,
    }


@lru_cache(maxsize=8)
def store_at(url: str) -> Store:
    """Return the one store of a URL in this process; connects when it is first asked."""
    return Store(url)


def store() -> Store:
    return store_at(conf.own("THROTTLE_STORAGE_URL"))
