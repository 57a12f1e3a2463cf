"""Rate limits: an attempt is counted before it is made, against every limit that applies to it."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import floor
from time import time
from typing import Any
from uuid import UUID

from django.utils.crypto import salted_hmac
from limits import RateLimitItem, WindowStats, parse
from rest_framework.exceptions import Throttled

from authx.context import current_context, network_of, subnets_of
from authx.errors import RateLimitError
from authx.signals import rate_limit_refused
from authx.throttling.store import store


class ThrottledError(RateLimitError, Throttled):
    """A RateLimitError that DRF and the exception handler of any project know as well."""

    def __init__(self, wait: int, exceeded: Sequence["Limit"]) -> None:
        Throttled.__init__(self, wait)
        self.reason, self.exceeded = "rate limit", exceeded
        # The arguments of an exception are printed: keep user names and addresses out of them.
        self.args = (wait, ())


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one subject may do one kind of thing; `rates` are like "5/minute".

    `username` (as typed), `user_id` and `session_id` are for the event that reports an exceeded
    limit.
    """

    kind: str
    subject: str
    rates: Sequence[str]
    username: str | None = None
    user_id: Any = None
    session_id: UUID | None = None

    @property
    def windows(self) -> list[RateLimitItem]:
        """Return the windows, the shortest first."""
        return _windows(tuple(self.rates))

    @property
    def interval(self) -> timedelta:
        """Return the time between attempts at which no window ever becomes full."""
        return timedelta(seconds=max(one.get_expiry() / one.amount for one in self.windows))

    @property
    def key(self) -> str:
        """Return the key in the store, a keyed hash: it reveals neither user nor address."""
        named = f"{self.kind}\0{self.subject}".encode(errors="surrogatepass")
        return salted_hmac("authx.throttling", named, algorithm="sha256").hexdigest()


@lru_cache(maxsize=64)
def _windows(rates: tuple[str, ...]) -> list[RateLimitItem]:
    return sorted(map(parse, rates), key=RateLimitItem.get_expiry)


def consume(*limits: Limit) -> None:
    """Count one attempt against every window of every limit; raise ThrottledError if one is full.

    All windows are checked before any is counted: a refused attempt uses no place in a window, so
    it neither extends the wait nor fills another limit. Of parallel attempts that all saw a free
    place, the atomic `hit` decides. The shortest window comes first because it refuses most of
    them, before they use places in the longer windows.
    """
    windows = [(limit, window) for limit in limits for window in limit.windows]
    # A single window needs no check beforehand: one round trip.
    is_free = len(windows) == 1 or not _full(windows)
    if is_free and all(_hit(limit, window) for limit, window in windows):
        return
    full = _full(windows)
    # One entry for each limit, with its longest full window.
    longest = {limit.key: (limit, window) for limit, window, _ in full}.values()
    exceeded = [limit for limit, window in longest if _is_first(limit, window)]
    kinds = [limit.kind for limit, _ in longest]
    rate_limit_refused.send_robust(sender=Limit, limits=kinds)
    # No window is full any more if somebody's success has cleared the counters meanwhile.
    raise ThrottledError(max((wait for _, _, wait in full), default=1), exceeded)


def clear(limit: Limit) -> None:
    """Clear the counts of a limit."""
    for window in limit.windows:
        _forget(limit, window)


def give_back(*limits: Limit) -> None:
    """Take one attempt out of every window; it decided nothing, such as in an outage."""
    for limit in limits:
        for window in limit.windows:
            store().take_back(window, limit.key)


def _forget(limit: Limit, window: RateLimitItem) -> None:
    store().run(lambda limiter: limiter.clear(window, limit.key))


def _hit(limit: Limit, window: RateLimitItem) -> bool:
    return store().run(lambda limiter: limiter.hit(window, limit.key))


def _full(
    windows: Iterable[tuple[Limit, RateLimitItem]],
) -> list[tuple[Limit, RateLimitItem, int]]:
    """Return the full windows, each with the seconds until it has a free place."""
    found = []
    for limit, window in windows:
        stats = _stats(limit, window)
        if stats.remaining <= 0:
            # An attempt leaves its window after that second, not in it; and no later than its key
            # expires in the store, even if the clock of the node that counted it was ahead.
            wait = min(floor(stats.reset_time - time()), window.get_expiry()) + 1
            found.append((limit, window, max(1, wait)))
    return found


def _stats(limit: Limit, window: RateLimitItem) -> WindowStats:
    return store().run(lambda limiter: limiter.get_window_stats(window, limit.key))


def _is_first(limit: Limit, window: RateLimitItem) -> bool:
    """Return whether a limit is exceeded for the first time in its window."""
    once = type(window)(1, window.multiples)
    return store().run(lambda limiter: limiter.hit(once, "exceeded", limit.key))


def network_limits(kind: str, rates: Sequence[str]) -> tuple[Limit, ...]:
    """Return the limit of the client's network: of an IPv4 address, or an IPv6 /64.

    Without an address there is none. Such callers are tasks, sockets and tests, and all requests
    behind a proxy that does not forward the address; they are not one source, and a limit for all
    of them together would let one lock out the others.
    """
    ip = current_context().ip
    return () if ip is None else (Limit(kind, network_of(ip), rates),)


def client_subnets() -> dict[str, str]:
    """Return the larger networks around the client: "subnet", and "site"."""
    ip = current_context().ip
    return {} if ip is None else subnets_of(ip)
