"""Everything that a run measured."""

from dataclasses import dataclass

from tests.benchmarks.comparison import Figure
from tests.benchmarks.flood import Flood
from tests.benchmarks.growth import Costs
from tests.benchmarks.sweeping import Deletion


@dataclass(frozen=True)
class Storage:
    """What refreshes, and the uses that follow them, wrote."""

    # Of a refresh alone, and of the process of PostgreSQL that serves it alone.
    wal_bytes: float
    full_page_images: int
    updates: int
    hot_updates: int


@dataclass(frozen=True)
class Results:
    """One run."""

    calls: int
    few: int
    many: int
    figures: list[Figure]
    storage: Storage
    costs: Costs
    sweep: Deletion
    giant_delete: Deletion
    flood: Flood

    def weight(self, operation: str, system: str) -> float:
        """Return what a call of a system weighs beside the yardstick."""
        weights = {(one.operation, one.system): one.weight for one in self.figures}
        return weights[operation, system]
