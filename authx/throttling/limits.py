"""Counts an attempt before it is made, against every limit that it falls under."""

from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import lru_cache
from math import floor
from time import time
from uuid import UUID

from django.db import DatabaseError
from django.utils.crypto import salted_hmac
from limits import RateLimitItem, WindowStats, parse
from rest_framework.exceptions import Throttled

from authx.audit.events import record_event
from authx.context import current_context, network_of
from authx.models import DeviceSession, EventKind
from authx.throttling.store import store
from authx.usernames import find_user_by_name, username_hash


@dataclass(frozen=True, slots=True)
class Limit:
    """How often one subject may do one kind of thing: `rates` are like "5/minute".

    What is told of it names `username`, as it was typed, where it is an account that is limited,
    and the session where it is one.
    """

    kind: str
    subject: str
    rates: Sequence[str]
    username: str | None = None
    session_id: UUID | None = None

    @property
    def windows(self) -> list[RateLimitItem]:
        """Return the windows, shortest first."""
        return _windows(tuple(self.rates))

    @property
    def spacing(self) -> timedelta:
        """Return the time between attempts that never fills any window."""
        return timedelta(seconds=max(one.get_expiry() / one.amount for one in self.windows))

    @property
    def key(self) -> str:
        """Return the name in the store: nothing there tells who or whence."""
        named = f"{self.kind}\0{self.subject}".encode(errors="surrogatepass")
        return salted_hmac("authx.throttling", named, algorithm="sha256").hexdigest()


@lru_cache(maxsize=64)
def _windows(rates: tuple[str, ...]) -> list[RateLimitItem]:
    return sorted(map(parse, rates), key=RateLimitItem.get_expiry)


def consume(*limits: Limit) -> None:
    """Count one attempt against every window of every limit; raises DRF's Throttled if one is full.

    All are looked at before any is counted: an attempt that is refused takes no place in a window,
    so it neither prolongs the wait nor fills the limit of somebody else. Of attempts at the same
    moment that all saw a place, `hit` decides, atomically; the shortest window comes first because
    it is the one to refuse them, before they take places in longer ones.
    """
    windows = [(limit, window) for limit in limits for window in limit.windows]
    # A single window needs no look beforehand: one round trip.
    free = len(windows) == 1 or not _full(windows)
    if free and all(_hit(limit, window) for limit, window in windows):
        return
    full = _full(windows)
    # The longest window of each: the one to tell of.
    for limit, window in {limit.key: (limit, window) for limit, window, _ in full}.values():
        _tell(limit, window)
    # Nobody is full any more if somebody's success cleared the counters meanwhile.
    raise Throttled(max((wait for _, _, wait in full), default=1))


def clear(limit: Limit) -> None:
    """Forget every attempt counted against a limit."""
    for window in limit.windows:
        _forget(limit, window)


def _forget(limit: Limit, window: RateLimitItem) -> None:
    store().ask(lambda limiter: limiter.clear(window, limit.key))


def _hit(limit: Limit, window: RateLimitItem) -> bool:
    return store().ask(lambda limiter: limiter.hit(window, limit.key))


def _full(
    windows: Iterable[tuple[Limit, RateLimitItem]],
) -> list[tuple[Limit, RateLimitItem, int]]:
    """Return the windows without a place, each with the seconds until it has one."""
    found = []
    for limit, window in windows:
        stats = _stats(limit, window)
        if stats.remaining <= 0:
            # An attempt leaves its window only when its time is over, not when it is reached; and
            # no later than its key in the store, whatever the clock of the node that counted it.
            wait = min(floor(stats.reset_time - time()), window.get_expiry()) + 1
            found.append((limit, window, max(1, wait)))
    return found


def _stats(limit: Limit, window: RateLimitItem) -> WindowStats:
    return store().ask(lambda limiter: limiter.get_window_stats(window, limit.key))


def _tell(limit: Limit, window: RateLimitItem) -> None:
    """Record that a limit was crossed, once in its window however often it is."""
    once = type(window)(1, window.multiples)
    if not store().ask(lambda limiter: limiter.hit(once, "told", limit.key)):
        return
    # A database that is away changes nothing about the limit, and is told of elsewhere.
    with suppress(DatabaseError):
        _record(limit)


def _record(limit: Limit) -> None:
    if limit.username is None:
        session = None
        if limit.session_id is not None:
            session = DeviceSession.objects.filter(pk=limit.session_id).first()
        record_event(kind=EventKind.RATE_LIMITED, session=session, reason=limit.kind)
        return
    user = find_user_by_name(limit.username)
    name_hash = "" if user else username_hash(limit.username)
    record_event(
        kind=EventKind.SIGN_IN_LIMITED,
        user_id=user and user.pk,
        reason=limit.kind,
        name_hash=name_hash,
    )


def client_network() -> str:
    """Return where the request under way comes from, as one source: an address, or its /64.

    Without an address, all are one source: better than none.
    """
    ip = current_context().ip
    return "unknown" if ip is None else network_of(ip)
