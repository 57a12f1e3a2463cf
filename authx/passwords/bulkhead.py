"""How many passwords one process hashes at the same time.

A hash is meant to be expensive: Argon2id takes a processor and 100 MiB for as long as it runs. A
flood of sign-ins would otherwise take both from the requests of those who are signed in. As many
wait as are hashed: both take a thread of the web server, so twice as many have to be fewer than its
threads, however many processors there are.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from threading import BoundedSemaphore
from typing import Any, Final

from django.contrib.auth.hashers import get_hasher

from authx import conf
from authx.errors import OverloadedError
from authx.signals import password_checks_changed

# In bytes, or "max"; and that of the machine.
MEMORY_LIMIT: Final = Path("/sys/fs/cgroup/memory.max")
MEMORY: Final = Path("/proc/meminfo")
UNLIMITED: Final = float("inf")


class Bulkhead:
    """Lets a number of threads in, and as many wait; the others are refused at once."""

    def __init__(self, places: int) -> None:
        self._places = BoundedSemaphore(places)
        self._waiting = BoundedSemaphore(places)

    @contextmanager
    def place(self, seconds: float) -> Iterator[None]:
        """Wait for a place for at most so many seconds; raises OverloadedError."""
        if not self._places.acquire(blocking=False):
            self._wait(seconds)
        try:
            with _reported("running"):
                yield
        finally:
            self._places.release()

    @property
    def is_full(self) -> bool:
        """Whether whoever comes now is refused at once."""
        for room in (self._places, self._waiting):
            if room.acquire(blocking=False):
                room.release()
                return False
        return True

    def _wait(self, seconds: float) -> None:
        # Waiting takes one of the threads of the server, so it has a limit too.
        if not self._waiting.acquire(blocking=False):
            raise OverloadedError
        try:
            with _reported("waiting"):
                if not self._places.acquire(timeout=seconds):
                    raise OverloadedError
        finally:
            self._waiting.release()


@contextmanager
def _reported(state: str) -> Iterator[None]:
    password_checks_changed.send_robust(sender=Bulkhead, state=state, change=1)
    try:
        yield
    finally:
        password_checks_changed.send_robust(sender=Bulkhead, state=state, change=-1)


@contextmanager
def place_for_hashing() -> Iterator[None]:
    """Hash a password within this block; raises OverloadedError. It cannot be nested."""
    wait = conf.authx_setting("PASSWORD_CHECK_WAIT")
    with _bulkhead(size()).place(wait.total_seconds()):
        yield


def require_room() -> None:
    """Raise OverloadedError if a check of a password would be refused now.

    In a flood, what comes before the check would cost more than its refusal.
    """
    if _bulkhead(size()).is_full:
        raise OverloadedError


def size() -> int:
    """Return how many passwords this process hashes at once."""
    configured: int = conf.authx_setting("PASSWORD_CHECKS_AT_ONCE")
    return configured


@lru_cache(maxsize=8)
def _bulkhead(places: int) -> Bulkhead:
    return Bulkhead(places)


def memory_for_hashing() -> int:
    """Return the bytes that this process needs while all places are taken."""
    hasher: Any = get_hasher()
    # Argon2's is in KiB; that of scrypt is 128 * N * r bytes (RFC 7914 section 2). PBKDF2 needs
    # none.
    kibibytes = getattr(hasher, "memory_cost", 0)
    scrypt = getattr(hasher, "work_factor", 0) * getattr(hasher, "block_size", 0) * 128
    return size() * (kibibytes * 1024 + scrypt)


def available_memory() -> float:
    """Return the bytes of memory of this container or machine; infinity if it does not say."""
    return min(
        _number_in(MEMORY_LIMIT, r"^(\d+)$"), _number_in(MEMORY, r"MemTotal:\s+(\d+)") * 1024
    )


def _number_in(path: Path, pattern: str) -> float:
    try:
        found = re.search(pattern, path.read_text(), re.MULTILINE)
    except OSError:
        found = None
    return float(found[1]) if found else UNLIMITED
