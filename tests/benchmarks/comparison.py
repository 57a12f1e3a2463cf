"""The systems side by side: round after round, every system takes a turn at an operation."""

from dataclasses import dataclass, field
from math import ceil
from statistics import median
from typing import Final

from tests.benchmarks import names
from tests.benchmarks.operations import MEASURED_CALLS, WARM_UP_CALLS
from tests.benchmarks.workers import Worker

OPERATIONS: Final = (
    names.AUTHENTICATE,
    names.REFRESH,
    names.RETRY,
    names.SIGN_IN,
    names.LIST_DEVICES,
    names.SIGN_OUT_ALL,
    names.SWEEP,
)
# Each call of these is prepared by several sign-ins, or by thousands of rows.
SHARES: Final = {names.LIST_DEVICES: 0.5, names.SIGN_OUT_ALL: 0.25, names.SWEEP: 0.05}
WARM_UP_ROUNDS: Final = 1
CALLS_OF_A_TURN: Final = WARM_UP_CALLS + MEASURED_CALLS

# The times of each system's calls.
Times = dict[str, list[int]]


@dataclass(frozen=True)
class Figure:
    """What one system needs for one operation."""

    operation: str
    system: str
    # Processor time of the median call, in nanoseconds.
    time: float
    # The same as a multiple of the yardstick's in the same process: what ratios are made of.
    weight: float
    statements: int


@dataclass
class Comparison:
    """Puts the same operation to every project that has it."""

    workers: list[Worker]
    calls: int
    # The median yardstick of each project: no two processes run the same code equally fast.
    yardsticks: dict[str, float] = field(default_factory=dict)

    def compare(self, operation: str) -> list[Figure]:
        """Return the figures of every system that has an operation; authentication comes first."""
        rounds = ceil(self.calls * SHARES.get(operation, 1) / MEASURED_CALLS)
        stock = CALLS_OF_A_TURN * (WARM_UP_ROUNDS + rounds)
        able = [
            worker
            for worker in self.workers
            if worker.ask("stock", operation=operation, count=stock)
        ]
        times = take_turns(able, operation, rounds)
        return [
            figure
            for worker in able
            for figure in self.figures(operation, worker, times[worker.project])
        ]

    def figures(self, operation: str, worker: Worker, times: Times) -> list[Figure]:
        medians = {name: median(calls) for name, calls in times.items()}
        if names.YARDSTICK in medians:
            self.yardsticks[worker.project] = medians.pop(names.YARDSTICK)
        yardstick = self.yardsticks[worker.project]
        statements = worker.ask("statements", operation=operation)
        return [
            Figure(operation, name, time, time / yardstick, statements[name])
            for name, time in medians.items()
        ]


def take_turns(workers: list[Worker], operation: str, rounds: int) -> dict[str, Times]:
    """Return the times of each project; every round begins with another one."""
    times: dict[str, Times] = {worker.project: {} for worker in workers}
    for number in range(WARM_UP_ROUNDS + rounds):
        first = number % len(workers)
        for worker in [*workers[first:], *workers[:first]]:
            turn: Times = worker.ask("turn", operation=operation, number=number)
            if number >= WARM_UP_ROUNDS:
                for name, calls in turn.items():
                    times[worker.project].setdefault(name, []).extend(calls)
    return times
