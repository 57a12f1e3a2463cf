"""Whether requests and refreshes cost the same beside few sessions and beside many."""

from contextlib import ExitStack
from statistics import median
from typing import Final

from tests.benchmarks import names
from tests.benchmarks.servers import Servers
from tests.benchmarks.workers import Worker

BLOCKS: Final = 12
# What the caches of a process and of PostgreSQL still have to learn.
WARM_UP_BLOCKS: Final = 2

Costs = dict[str, list[float]]


def measure_growth(servers: Servers, *, few: int, many: int, calls: int) -> Costs:
    """Return the cost of a call, in ns with PostgreSQL's share, beside few sessions and many."""
    block = max(calls // BLOCKS, 1)
    costs = {}
    with ExitStack() as stack:
        workers = [stack.enter_context(_worker(servers, count)) for count in (few, many)]
        for operation in (names.AUTHENTICATE, names.REFRESH):
            for worker in workers:
                worker.ask("fill", count=block * (BLOCKS + WARM_UP_BLOCKS))
            blocks = [
                [worker.ask("cost", operation=operation, calls=block) for worker in workers]
                for _ in range(BLOCKS + WARM_UP_BLOCKS)
            ]
            measured = zip(*blocks[WARM_UP_BLOCKS:], strict=True)
            costs[operation] = [median(column) for column in measured]
    for count in (few, many):
        servers.drop_database(_database(count))
    return costs


def _database(count: int) -> str:
    return f"beside_{count}"


def _worker(servers: Servers, count: int) -> Worker:
    database = _database(count)
    servers.create_database(database)
    worker = Worker(servers, "authx", database)
    worker.ask("add_live_sessions", count=count)
    return worker
