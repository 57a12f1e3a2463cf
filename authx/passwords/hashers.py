"""Argon2id that leaves the processors to the requests of those who are signed in."""

import os
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Final, TypeVar

from django.contrib.auth.hashers import Argon2PasswordHasher

Result = TypeVar("Result")

# A quarter of the time of a processor that others want as well. The lowest priority is a hundredth:
# on a machine without a free processor, a hash would take half a minute instead of a second.
NICENESS: Final = 5


class BackgroundArgon2PasswordHasher(Argon2PasswordHasher):
    """Django's Argon2id on one processor, in a thread of a lower priority.

    Django's own has eight lanes (RFC 9106 section 3.1), so it takes every processor of a machine,
    however few passwords are hashed at once. Hashes of both are verified by both.
    """

    parallelism = 1

    def encode(self, password: str, salt: str) -> str:
        return in_background(partial(super().encode, password, salt))

    def verify(self, password: str, encoded: str) -> bool:
        return in_background(partial(super().verify, password, encoded))


def in_background(call: Callable[[], Result]) -> Result:
    """Return the result of a call that releases Python's lock, or raise what it raises.

    On Linux it runs at a lower priority; elsewhere a thread has none of its own.
    """
    # A thread cannot raise its priority again, so each call has a new one: 0.1 ms of some 100.
    with ThreadPoolExecutor(1, initializer=lower_priority) as executor:
        return executor.submit(call).result()


def lower_priority() -> None:
    """Prefer all other threads of this machine to this one, on Linux."""
    if sys.platform == "linux":
        os.nice(NICENESS)
