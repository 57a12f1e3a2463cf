"""Runs the scenarios and fails if a promise is broken: `make cluster`."""

import json
import signal
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from time import monotonic
from typing import Final

from tests.cluster.background import count_background_work
from tests.cluster.counts import Counts
from tests.cluster.fleet import PHONES_PER_USER, Fleet
from tests.cluster.programs import require_programs
from tests.cluster.report import as_json, details, table
from tests.cluster.scenarios import ASYNCHRONOUS, SCENARIOS, NotRunError, say, silent
from tests.cluster.topology import Cluster

MAX_DETAILS: Final = 20


def main() -> int:
    """Return the exit status: 1 if a promise is broken."""
    arguments = read_arguments()
    require_programs()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    results: dict[str, Counts] = {}
    with Cluster(is_synchronous=not arguments.asynchronous, keep=arguments.keep) as cluster:
        say(f"The logs are in {cluster.directory}")
        cluster.start(users=-(-arguments.phones // PHONES_PER_USER))
        with Fleet(cluster.balancer.url, arguments.phones) as fleet:
            say(f"{arguments.phones} phones sign in")
            fleet.settle()
            for name in arguments.only or scenarios_of(arguments):
                run(name, cluster, fleet, results)
        background = count_background_work(cluster.directory)
    show(results, background, arguments)
    is_broken = any(counts.is_broken for counts in results.values())
    # An asynchronous standby loses what it has not received: its losses are counted only.
    return int(is_broken and not arguments.asynchronous)


def scenarios_of(arguments: Namespace) -> list[str]:
    return list(ASYNCHRONOUS if arguments.asynchronous else SCENARIOS)


def run(name: str, cluster: Cluster, fleet: Fleet, results: dict[str, Counts]) -> None:
    say(name)
    began = monotonic()
    fleet.begin()
    try:
        (SCENARIOS | ASYNCHRONOUS)[name](cluster)
    except NotRunError as error:
        say(f"  not run: {error}")
        return
    fleet.settle()
    counts = results[name] = fleet.end()
    counts.unexpected += silent(name, counts.served_by)
    # A phone whose last rotation was lost as well cannot show that its session is back.
    counts.alive += cluster.database.undone(counts.ended)
    say(f"  {monotonic() - began:.0f} s")


def show(results: dict[str, Counts], background: dict[str, int], arguments: Namespace) -> None:
    lines = details(results)
    for line in lines[:MAX_DETAILS]:
        say(line)
    if len(lines) > MAX_DETAILS:
        say(f"and {len(lines) - MAX_DETAILS} more")
    sys.stdout.write(f"{table(results)}\n\n")
    for what, number in background.items():
        sys.stdout.write(f"{what}: {number}\n")
    if arguments.json:
        found = {"scenarios": as_json(results), "background": background}
        arguments.json.write_text(json.dumps(found, indent=1))


def read_arguments() -> Namespace:
    parser = ArgumentParser(prog="make cluster", description=__doc__)
    parser.add_argument("--phones", type=int, default=200)
    parser.add_argument("--only", action="append", choices=[*SCENARIOS, *ASYNCHRONOUS])
    parser.add_argument(
        "--asynchronous", action="store_true", help="let the standby follow asynchronously"
    )
    parser.add_argument("--json", type=Path, help="write all counts to this file")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
