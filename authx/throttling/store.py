"""Where attempts are counted: in a server that all processes share, else in this process."""

import logging
from collections.abc import Callable
from functools import lru_cache
from threading import Lock
from time import monotonic
from typing import Any, Final, TypeVar

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from authx import conf

logger = logging.getLogger(__name__)

T = TypeVar("T")

PER_PROCESS: Final = "memory://"
SHARED: Final = ("redis://", "rediss://", "redis+unix://", "valkey://", "valkeys://")
# For connecting and for responding: a request waits at most twice as long for a dead server.
TIMEOUT_SECONDS: Final = 0.2
# While the server is unavailable, one request in this time tries it; the others do not wait.
PROBE_INTERVAL_SECONDS: Final = 5
PROBE: Final = RateLimitItemPerSecond(1)


class AttemptStore:
    """A moving-window limiter that counts in this process while its server is unavailable.

    A server that responds with errors (read-only, out of memory, loading) counts as unavailable.
    """

    def __init__(self, url: str) -> None:
        options = {} if url == PER_PROCESS else _options(url)
        shared = storage_from_string(url, wrap_exceptions=True, **options)
        self._shared = MovingWindowRateLimiter(shared)
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._lock = Lock()
        # When to try an unavailable server again; None while it is available.
        self._probe_at: float | None = None

    def run(self, operation: Callable[[MovingWindowRateLimiter], T]) -> T:
        """Run an operation on the shared limiter, or on that of this process."""
        if self._may_use_shared():
            try:
                answer = operation(self._shared)
            except StorageError as error:
                self._note_unavailable(error)
            else:
                self._note_available()
                return answer
        return operation(self._own)

    def is_available(self) -> bool:
        """Return whether attempts count for all processes; tries that with one of its own."""
        self.run(lambda limiter: limiter.hit(PROBE, "probe"))
        with self._lock:
            return self._probe_at is None

    def take_back(self, item: RateLimitItem, *identifiers: str) -> None:
        """Take the newest attempt out of a window, such as one that decided nothing."""
        key = item.key_for(*identifiers)
        self.run(lambda limiter: _remove_newest(limiter.storage, key))

    def _may_use_shared(self) -> bool:
        with self._lock:
            if self._probe_at is None:
                return True
            due = self._probe_at <= monotonic()
            if due:
                # Set before the result is known, so that no other request waits for the server.
                self._probe_at = monotonic() + PROBE_INTERVAL_SECONDS
            return due

    def _note_unavailable(self, error: StorageError) -> None:
        with self._lock:
            was_available = self._probe_at is None
            self._probe_at = monotonic() + PROBE_INTERVAL_SECONDS
        if was_available:
            logger.error(
                "rate limits count in this process only, the store is unavailable: %s", error
            )

    def _note_available(self) -> None:
        with self._lock:
            was_unavailable, self._probe_at = self._probe_at is not None, None
        if was_unavailable:
            logger.warning("rate limits count for all processes again, the store is available")


def _remove_newest(storage: Any, key: str) -> None:
    # The library has no method for it. Both of its storages keep a list, the newest first.
    if isinstance(storage, MemoryStorage):
        with storage.locks[key]:
            del storage.events.get(key, [])[:1]
    else:
        storage.get_connection().lpop(storage.prefixed_key(key))


def _options(url: str) -> dict[str, float | str | bool]:
    # valkey-py verifies the certificate, but not the host name; redis-py verifies both.
    host_name = {"ssl_check_hostname": True} if url.startswith("valkeys:") else {}
    return {
        "key_prefix": "authx",
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "socket_timeout": TIMEOUT_SECONDS,
        **host_name,
    }


@lru_cache(maxsize=8)
def store_at(url: str) -> AttemptStore:
    """Return the store of a URL in this process; it connects at its first operation."""
    return AttemptStore(url)


def store() -> AttemptStore:
    return store_at(conf.authx_setting("THROTTLE_STORAGE_URL"))
