"""Measures the cluster beside many sessions: `make load`."""

import json
import signal
import sys
from argparse import ArgumentParser, Namespace
from typing import Final

from tests.cluster.programs import require_programs
from tests.cluster.scenarios import say
from tests.cluster.topology import Cluster
from tests.load.phases import Phase, Run, pause_for, seed
from tests.load.phones import CALL, REFRESH, SIGN_IN, Fleet
from tests.load.report import tables
from tests.load.usage import measure_storage

# The lifetimes of production, and no sweep but the one that is measured.
VARIABLES: Final = {
    "DJANGO_SETTINGS_MODULE": "tests.load.settings",
    "ACCESS_TOKEN_TTL": "15m",
    "ACCESS_TOKEN_MAX_TTL": "1h",
    "ACCESS_TOKEN_MIN_RENEWAL_INTERVAL": "60",
    "SWEEP_INTERVAL": "1d",
    "NOTIFICATION_INTERVAL": "30s",
}
# As on a machine for this database; the rest is PostgreSQL's default.
PARAMETERS: Final = {"shared_buffers": "2GB", "max_wal_size": "8GB", "wal_compression": "pglz"}
# A session rests between two refreshes, so that its page is not in use all the time.
SESSIONS_PER_PHONE: Final = 40


def main() -> None:
    arguments = read_arguments()
    require_programs()
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    with Cluster(
        is_synchronous=True,
        keep=arguments.keep,
        has_standby=not arguments.without_standby,
        variables=VARIABLES,
        parameters=PARAMETERS,
    ) as cluster:
        say(f"The logs are in {cluster.directory}")
        cluster.start(users=0)
        say(f"{arguments.sessions:,} sessions and {arguments.ended:,} ended ones are generated")
        signed_in = min(arguments.phones * SESSIONS_PER_PHONE, arguments.sessions // 4)
        seed(cluster, sessions=arguments.sessions, ended=arguments.ended, signed_in=signed_in)
        storage = measure_storage(cluster)
        phases = measure(cluster, arguments)
    sys.stdout.write(f"{tables(phases, storage)}\n")


def measure(cluster: Cluster, arguments: Namespace) -> list[Phase]:
    raw_tokens = json.loads((cluster.directory / "tokens.json").read_text())
    with Fleet(cluster.balancer.port, raw_tokens, arguments.sessions // 2) as fleet:
        run = Run(cluster, fleet, arguments.phones)
        say("sign-ins")
        phases = [run.measure("sign-ins", SIGN_IN, arguments.seconds / 2)]
        say("refreshes alone")
        phases.append(run.measure("refreshes alone", REFRESH, arguments.seconds / 2))
        say("full load")
        full = run.measure("full load", CALL, arguments.seconds)
        pause = pause_for(arguments.phones, full.rate())
        say("half load")
        phases += [full, run.measure("half load", CALL, arguments.seconds, pause=pause)]
        for number in range(arguments.sweeps if arguments.ended else 0):
            if number:
                seed(cluster, sessions=0, ended=arguments.ended, signed_in=0)
            say("sweep")
            phases += run.sweep(pause)
    return phases


def read_arguments() -> Namespace:
    parser = ArgumentParser(prog="make load", description=__doc__)
    parser.add_argument("--sessions", type=int, default=10_000)
    parser.add_argument("--ended", type=int, default=0, help="sessions for the sweep to delete")
    parser.add_argument("--sweeps", type=int, default=1, help="how often they are swept")
    parser.add_argument("--seconds", type=float, default=60, help="of each phase")
    parser.add_argument("--phones", type=int, default=100)
    parser.add_argument("--without-standby", action="store_true")
    parser.add_argument("--keep", action="store_true", help="keep the directory with the logs")
    return parser.parse_args()


if __name__ == "__main__":
    main()
