"""Where attempts are counted: in a server that all processes share, else in this process."""

import logging
from collections.abc import Callable
from functools import lru_cache
from importlib import import_module
from threading import Lock
from time import monotonic
from typing import Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

from limits import RateLimitItem, RateLimitItemPerSecond
from limits.errors import ConfigurationError, StorageError
from limits.storage import MemoryStorage, storage_from_string
from limits.strategies import MovingWindowRateLimiter

from authx import conf

logger = logging.getLogger(__name__)

T = TypeVar("T")

PER_PROCESS: Final = "memory://"
# Without a query, which limits would ignore, and with it a wish for TLS.
SENTINEL: Final = ("redis+sentinel://", "valkey+sentinel://")
CLUSTER: Final = ("redis+cluster://", "valkey+cluster://")
SHARED: Final = (
    *("redis://", "rediss://", "redis+unix://", "valkey://", "valkeys://", "valkey+unix://"),
    *SENTINEL,
    *CLUSTER,
)
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
        self._url, self._options = url, _options(url)
        self._errors: tuple[type[Exception], ...] = (StorageError, *_cluster_errors(url))
        # A client of a cluster connects when it is made, and the cluster may be unavailable.
        self._connected = None if url.startswith(CLUSTER) else self._connect()
        self._own = MovingWindowRateLimiter(MemoryStorage())
        self._lock = Lock()
        # When to try an unavailable server again; None while it is available.
        self._probe_at: float | None = None

    def run(self, operation: Callable[[MovingWindowRateLimiter], T]) -> T:
        """Run an operation on the shared limiter, or on that of this process."""
        if self._may_use_shared():
            try:
                answer = operation(self._shared)
            except self._errors as error:
                self._note_unavailable(error)
            else:
                self._note_available()
                return answer
        return operation(self._own)

    @property
    def _shared(self) -> MovingWindowRateLimiter:
        if self._connected is None:
            self._connected = self._connect()
        return self._connected

    def _connect(self) -> MovingWindowRateLimiter:
        storage = storage_from_string(self._url, wrap_exceptions=True, **self._options)
        return MovingWindowRateLimiter(storage)

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

    def _note_unavailable(self, error: Exception) -> None:
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
        try:
            storage.get_connection().lpop(storage.prefixed_key(key))
        except storage.base_exceptions as error:
            raise StorageError(error) from error


def _cluster_errors(url: str) -> tuple[type[Exception], ...]:
    """Return what the client of a cluster raises outside of the errors that limits wraps."""
    if url.startswith("redis+cluster:"):
        errors = import_module("redis.exceptions")
        return errors.RedisError, errors.RedisClusterException
    if url.startswith("valkey+cluster:"):
        errors = import_module("valkey.exceptions")
        return errors.ValkeyError, errors.ValkeyClusterException
    return ()


def _options(url: str) -> dict[str, Any]:
    if url == PER_PROCESS:
        return {}
    timeouts: dict[str, Any] = {
        "socket_connect_timeout": TIMEOUT_SECONDS,
        "socket_timeout": TIMEOUT_SECONDS,
    }
    options: dict[str, Any] = {"key_prefix": "authx", **timeouts}
    if url.startswith("valkeys:"):
        # valkey-py verifies the certificate, but not the host name; redis-py verifies both.
        options["ssl_check_hostname"] = True
    if url.startswith((*SENTINEL, *CLUSTER)):
        parts = urlsplit(url)
        hosts = parts.netloc.rpartition("@")[2].split(",")
        if parts.query or not all(urlsplit(f"//{host}").port for host in hosts):
            raise ConfigurationError("This URL takes host:port,host:port and no query.")
        # One try: otherwise a request waits for several, with pauses between them.
        library = url.partition("+")[0]
        no_backoff = import_module(f"{library}.backoff").NoBackoff()
        timeouts["retry"] = import_module(f"{library}.retry").Retry(no_backoff, 0)
        options |= timeouts
        # limits would send them as they are written in the URL.
        named = {"username": parts.username, "password": parts.password}
        options |= {name: unquote(value) for name, value in named.items() if value}
    if url.startswith(SENTINEL):
        # A replica that lags would not know the latest attempts.
        options |= {"use_replicas": False, "sentinel_kwargs": timeouts}
    return options


@lru_cache(maxsize=8)
def store_at(url: str) -> AttemptStore:
    """Return the store of a URL in this process; it connects at its first operation."""
    return AttemptStore(url)


def store() -> AttemptStore:
    return store_at(conf.authx_setting("THROTTLE_STORAGE_URL"))
