"""What a run must show; a missed one fails `make bench`."""

from dataclasses import dataclass
from typing import Final

from tests.benchmarks import names
from tests.benchmarks.results import Results, Storage

# The 99th percentile during a flood of sign-ins, to that without.
FLOOD: Final = 3.0
# The cost of authx as a multiple of that of a system: at most this.
RATIOS: Final = {
    (names.AUTHENTICATE, names.USER_QUERY): 0.8,
    (names.AUTHENTICATE, names.KNOX): 0.45,
    (names.REFRESH, names.ALLAUTH): 0.45,
    (names.REFRESH, names.BLACKLIST): 0.3,
}
HOT_SHARE: Final = 0.95
WAL_BYTES: Final = 800
GROWTH: Final = 1.2
SWEEP_RATE: Final = 0.5
# More than the noise of an allocator, less than any list of the rows.
SWEEP_MEMORY: Final = 16.0  # MiB


@dataclass(frozen=True)
class Budget:
    """A figure of authx that must reach a limit, or stay within it."""

    what: str
    value: float
    limit: float
    at_least: bool = False

    @property
    def is_met(self) -> bool:
        return self.value >= self.limit if self.at_least else self.value <= self.limit

    def __str__(self) -> str:
        bound = "at least" if self.at_least else "at most"
        verdict = "met" if self.is_met else "missed"
        return f"{bound} {self.limit:g}: {round(self.value, 3):.7g}, {verdict}"


def ratio_budget(results: Results, operation: str, system: str) -> Budget | None:
    """Return what authx may cost beside a system, where a budget says so."""
    if (operation, system) not in RATIOS:
        return None
    ratio = results.weight(operation, names.AUTHX) / results.weight(operation, system)
    return Budget(f"{operation}, to {system}", ratio, RATIOS[operation, system])


def growth_budget(results: Results, operation: str) -> Budget:
    few, many = results.costs[operation]
    return Budget(f"{operation}, beside many sessions to beside few", many / few, GROWTH)


def hot_budget(storage: Storage) -> Budget:
    share = storage.hot_updates / storage.updates
    return Budget("HOT share of updates", share, HOT_SHARE, at_least=True)


def wal_budget(storage: Storage) -> Budget:
    return Budget("WAL bytes of a refresh", storage.wal_bytes, WAL_BYTES)


def sweep_budgets(results: Results) -> list[Budget]:
    rate = results.sweep.rate / results.giant_delete.rate
    return [
        Budget("rate of the sweep, to one giant DELETE", rate, SWEEP_RATE, at_least=True),
        Budget("MiB that the sweep adds to its process", results.sweep.memory, SWEEP_MEMORY),
        Budget("sign-ins during the sweep", results.sweep.sign_ins, 1, at_least=True),
    ]


def flood_budget(results: Results, kind: str) -> Budget:
    what = f"99th percentile of a {kind} beside a flood of sign-ins, to without"
    return Budget(what, results.flood.ratio(kind), FLOOD)


def all_budgets(results: Results) -> list[Budget]:
    ratios = [ratio_budget(results, operation, system) for operation, system in RATIOS]
    return [
        *filter(None, ratios),
        *(growth_budget(results, operation) for operation in results.costs),
        hot_budget(results.storage),
        wal_budget(results.storage),
        *sweep_budgets(results),
        *(flood_budget(results, kind) for kind in results.flood.quiet),
    ]
