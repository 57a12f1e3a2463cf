"""How many passwords one process hashes at the same time.

A hash is meant to be expensive: Argon2id takes a processor and 100 MiB for as long as it runs. A
flood of sign-ins would otherwise take both from the requests of those who are signed in.
"""

import os
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

# What a container is given (cgroup v2): "QUOTA PERIOD" in microseconds, or "max PERIOD".
CPU_QUOTA: Final = Path("/sys/fs/cgroup/cpu.max")
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
    configured: int | None = conf.authx_setting("PASSWORD_CHECKS_AT_ONCE")
    return default_size() if configured is None else configured


@lru_cache(maxsize=8)
def _bulkhead(places: int) -> Bulkhead:
    return Bulkhead(places)


def default_size() -> int:
    """Return the number of processors of this process without one, at least 1."""
    return max(1, int(processors()) - 1)


@lru_cache(maxsize=1)
def processors() -> float:
    """Return how many processors this process may use, by its affinity and its cgroup."""
    count = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return min(float(count or 1), cpu_quota(CPU_QUOTA))


def cpu_quota(path: Path) -> float:
    """Return the processors that a file such as `cpu.max` grants; infinity without a limit."""
    try:
        quota, period = path.read_text().split()
        return int(quota) / int(period)
    except (OSError, ValueError):
        return UNLIMITED


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
