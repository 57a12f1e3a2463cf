"""What happens to the cluster while phones use it; each scenario leaves it whole."""

import signal
import sys
from collections.abc import Callable, Mapping
from time import sleep
from typing import Final

import psutil

from tests.cluster.application import WEB_NODES, CommandError, manage
from tests.cluster.programs import is_root, until
from tests.cluster.topology import Cluster

QUIET_SECONDS: Final = 15
# Longer than HAProxy needs to notice a change, so that the next step meets the state it expects.
PAUSE_SECONDS: Final = 5
FREEZE_SECONDS: Final = 30
# Longer than DATABASE_TIMEOUT and the next try of a phone; shorter than TTL_SECONDS, after which
# Patroni goes on without the standby and does not promote it.
STALL_SECONDS: Final = 14
# What an asynchronous standby is behind in the scenario that loses writes.
LAG_SECONDS: Final = 10
RECOVERY_SECONDS: Final = 120
MIGRATION_ATTEMPTS: Final = 20
NEW_VERSION: Final = "2"
CLOCK_AHEAD: Final = "ahead"  # the version of the node with the wrong clock

Scenario = Callable[[Cluster], None]


class NotRunError(Exception):
    """Raised by a scenario that this machine lacks something for."""


def quiet(cluster: Cluster) -> None:
    """Let nothing fail."""
    sleep(QUIET_SECONDS)


def primary_killed(cluster: Cluster) -> None:
    """Send SIGKILL to PostgreSQL and Patroni of the primary; it returns as the standby."""
    _fail_over(cluster, frozen_for=0)


def standby_stalls_first(cluster: Cluster) -> None:
    """Freeze the standby for 14 s, so that commits wait for it; then kill the primary."""
    _fail_over(cluster, frozen_for=STALL_SECONDS)


def standby_lags_first(cluster: Cluster) -> None:
    """Let the standby receive nothing for 10 s; then kill the primary."""
    _fail_over(cluster, frozen_for=LAG_SECONDS)


def pgbouncer_restarted(cluster: Cluster) -> None:
    """Send SIGTERM, which cuts its clients off, and start it again; twice."""
    for _ in range(2):
        cluster.pgbouncer.stop()
        cluster.pgbouncer.start()
        sleep(PAUSE_SECONDS)


def web_node_frozen(cluster: Cluster) -> None:
    """Send SIGSTOP to all processes of a web node, and SIGCONT 30 s later."""
    node = cluster.web[0]
    node.signal_all(signal.SIGSTOP)
    sleep(FREEZE_SECONDS)
    node.signal_all(signal.SIGCONT)
    sleep(PAUSE_SECONDS)


def valkey_primary_killed(cluster: Cluster) -> None:
    """Send SIGKILL; the sentinels promote the replica, which the old primary later follows."""
    primary = cluster.valkey.primary()
    primary.kill()
    successor = cluster.valkey.primary()
    sleep(PAUSE_SECONDS)
    primary.start()
    primary.follow(successor)
    until(lambda: primary.is_replica, "the new replica")
    sleep(PAUSE_SECONDS)


def web_nodes_rolled(cluster: Cluster) -> None:
    """Send SIGTERM to one web node after the other, and start it with another version.

    While the versions differ, add a nullable column with an index to the hot table; afterwards,
    remove both.
    """
    for node in cluster.web:
        node.stop()
        node.start(RELEASE=NEW_VERSION)
        sleep(PAUSE_SECONDS)
        if node is cluster.web[0]:
            _migrate(cluster, "schema_change", "0001")
            sleep(PAUSE_SECONDS)
    _migrate(cluster, "schema_change", "zero")
    sleep(PAUSE_SECONDS)


def web_clock_ahead(cluster: Cluster) -> None:
    """Set the clock of one web node an hour ahead."""
    node = cluster.web[-1]
    node.stop()
    node.start(CLOCK_AHEAD="1h", RELEASE=CLOCK_AHEAD)
    sleep(QUIET_SECONDS)
    node.stop()
    node.start()
    sleep(PAUSE_SECONDS)


def temporary_disk_full(cluster: Cluster) -> None:
    """Fill the disk with the temporary files of a web node, and kill its worker."""
    if not is_root():
        raise NotRunError("it mounts a small disk, which only root may")
    node = cluster.web[1]
    node.stop()
    node.limit_disk()
    node.start()
    node.fill_disk()
    sleep(PAUSE_SECONDS)
    master = psutil.Process(node.process.pid)
    for worker in master.children():
        worker.kill()
    sleep(PAUSE_SECONDS)
    if not node.is_running:
        say("  gunicorn ended: it cannot start a worker without a temporary file")
    node.stop()
    node.free_disk()
    node.start()
    sleep(PAUSE_SECONDS)


SCENARIOS: Final[dict[str, Scenario]] = {
    one.__name__.replace("_", "-"): one
    for one in (
        quiet,
        primary_killed,
        pgbouncer_restarted,
        web_node_frozen,
        valkey_primary_killed,
        web_nodes_rolled,
        web_clock_ahead,
        temporary_disk_full,
        standby_stalls_first,
    )
}
ASYNCHRONOUS: Final[dict[str, Scenario]] = {
    one.__name__.replace("_", "-"): one for one in (quiet, standby_lags_first)
}

# Who has to answer requests in a scenario, or else it shows nothing.
ANSWERING: Final = {
    "web-nodes-rolled": [f"web-{node} version {NEW_VERSION}" for node in range(1, WEB_NODES + 1)],
    "web-clock-ahead": [f"web-{WEB_NODES} version {CLOCK_AHEAD}"],
}


def silent(name: str, served_by: Mapping[str, int]) -> list[str]:
    """Return what is to be reported of nodes that had to answer in a scenario and did not."""
    return [f"{one} answered nothing" for one in ANSWERING.get(name, []) if not served_by.get(one)]


def say(line: str) -> None:
    sys.stderr.write(f"{line}\n")
    sys.stderr.flush()


def _fail_over(cluster: Cluster, *, frozen_for: float) -> None:
    """Freeze the standby for a time, kill the primary, and bring it back as the standby."""
    primary = cluster.database.primary()
    standby = cluster.database.standby_of(primary)
    if frozen_for:
        standby.freeze()
        sleep(frozen_for)
    primary.kill()
    if frozen_for:
        standby.cut_link()
        standby.thaw()
    until(lambda: standby.is_primary, "the failover", RECOVERY_SECONDS)
    sleep(PAUSE_SECONDS)
    primary.start()
    until(cluster.database.is_whole, "the return of the old primary", RECOVERY_SECONDS)


def _migrate(cluster: Cluster, *arguments: str) -> None:
    """Migrate as a pipeline does: again where a lock was not free in time."""
    for _ in range(MIGRATION_ATTEMPTS):
        try:
            manage(cluster.environment, "migrate", *arguments)
        except CommandError as error:
            if "lock timeout" not in str(error):
                raise
            sleep(1)
        else:
            return
    raise TimeoutError("the migration never got its lock")
