"""How each system is driven, through its own HTTP interface alone."""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from tests.benchmarks.operations import Operation

# What an app holds: the answer to its last sign-in or refresh.
Tokens = dict[str, Any]
# Sessions that take turns where a call uses nothing up.
FEW: Final = 8
System = dict[str, Operation]


@dataclass
class Stock:
    """Sessions made before the calls that use them, each with the tokens that its app holds."""

    make: Callable[[], Any]
    waiting: deque[Any] = field(default_factory=deque)

    def fill_a_few(self, count: int) -> None:
        """Let some sessions wait that serve all of so many calls, in turn."""
        self.fill(min(count, FEW))

    def fill(self, count: int) -> None:
        """Let so many sessions wait, none of them used before."""
        self.waiting.clear()
        self.waiting.extend(self.make() for _ in range(count))

    def next(self) -> Any:
        """Return the one that has waited longest, for a single use."""
        return self.waiting.popleft()

    def again(self) -> Any:
        """Return each in turn, for any number of uses."""
        self.waiting.rotate()
        return self.waiting[0]
