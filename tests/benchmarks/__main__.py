"""Runs every measurement, writes the page, and fails if a budget is missed: `make bench`."""

import sys
import time
from argparse import ArgumentParser, Namespace
from contextlib import ExitStack
from pathlib import Path
from typing import Final

from tests.benchmarks import names
from tests.benchmarks.budgets import all_budgets
from tests.benchmarks.comparison import OPERATIONS, Comparison, Figure
from tests.benchmarks.flood import measure_flood
from tests.benchmarks.growth import measure_growth
from tests.benchmarks.machine import describe_machine
from tests.benchmarks.operations import WARM_UP_CALLS
from tests.benchmarks.report import page
from tests.benchmarks.results import Results, Storage
from tests.benchmarks.servers import Servers
from tests.benchmarks.sweeping import measure_sweep
from tests.benchmarks.workers import ROOT, Worker

GROWTH: Final = 100
FLOOD_SECONDS: Final = 30
PASSES: Final = 3


def main() -> int:
    """Return the exit status: 1 if a budget is missed."""
    arguments = read_arguments()
    with Servers() as servers:
        results = measure(servers, arguments.calls, arguments.rows)
        machine = describe_machine(servers.version)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    arguments.output.write_text(page(results, machine, today, WARM_UP_CALLS))
    missed = [budget for budget in all_budgets(results) if not budget.is_met]
    for budget in missed:
        say(f"MISSED: {budget.what}, {budget}")
    return 1 if missed else 0


def read_arguments() -> Namespace:
    parser = ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--calls", type=int, default=300, help="measured calls of an operation")
    parser.add_argument("--rows", type=int, default=1_000_000, help="sessions where many are")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "performance.md")
    return parser.parse_args()


def measure(servers: Servers, calls: int, rows: int) -> Results:
    figures = measure_operations(servers, calls)
    say("storage")
    storage = measure_storage(servers, calls)
    say("growth")
    few = rows // GROWTH
    costs = measure_growth(servers, few=few, many=rows, calls=2 * calls)
    say("sweep")
    sweep, giant_delete = measure_sweep(servers, rows)
    say("flood")
    flood = measure_flood(servers, FLOOD_SECONDS)
    return Results(calls, few, rows, figures, storage, costs, sweep, giant_delete, flood)


def measure_operations(servers: Servers, calls: int) -> list[Figure]:
    figures: list[Figure] = []
    with ExitStack() as stack:
        for project in names.PROJECTS:
            servers.create_database(project)
        workers = [
            stack.enter_context(Worker(servers, project, project)) for project in names.PROJECTS
        ]
        comparison = Comparison(workers, calls)
        for operation in OPERATIONS:
            say(operation)
            figures += comparison.compare(operation)
    return figures


def measure_storage(servers: Servers, sessions: int) -> Storage:
    servers.create_database("storage")
    with Worker(servers, "authx", "storage") as worker:
        return Storage(**worker.ask("storage", sessions=sessions, passes=PASSES))


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")


if __name__ == "__main__":
    sys.exit(main())
