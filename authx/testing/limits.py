"""Keeps the rate limits of authx from counting one test against another.

Both work for a block, so nothing remains switched off after it, and no setting switches it off.
"""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any
from unittest import mock

from limits import WindowStats

from authx.testing.environment import require_test_environment
from authx.throttling import limits
from authx.throttling.store import PER_PROCESS, AttemptStore


class _UncountedStore:
    """A store in which every window is empty."""

    def run(self, operation: Callable[[Any], Any]) -> Any:
        return operation(self)

    def hit(self, *_: Any) -> bool:
        return True

    def get_window_stats(self, *_: Any) -> WindowStats:
        return WindowStats(reset_time=0, remaining=1)

    def clear(self, *_: Any) -> None:
        """Forget nothing, because nothing was counted."""


@contextmanager
def count_separately() -> Iterator[None]:
    """Apply the limits, but count from zero and in this process, not in the configured store."""
    with _use(AttemptStore(PER_PROCESS)):
        yield


@contextmanager
def without_rate_limits() -> Iterator[None]:
    """Count and refuse nothing."""
    with _use(_UncountedStore()):
        yield


def _use(store: Any) -> AbstractContextManager[Any]:
    require_test_environment()
    return mock.patch.object(limits, "store", return_value=store)
