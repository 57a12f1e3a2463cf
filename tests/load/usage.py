"""What each part of the cluster used: processor time by the kernel's count, WAL by PostgreSQL's."""

import re
import subprocess
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from time import monotonic
from typing import Any, Final

import psutil

from tests.cluster.postgresql import BINARIES, ROLE, DatabaseNode
from tests.cluster.topology import Cluster

TABLE: Final = "authx_devicesession"
SIZES: Final = f"""
SELECT count(*), pg_total_relation_size('{TABLE}'), pg_indexes_size('{TABLE}') FROM {TABLE}
"""
# Of the line with the totals: the size of all records, and that of the full-page images.
WAL_TOTALS: Final = re.compile(r"^Total.*?(\d+) \[[\d.]+%\]\s+(\d+) \[[\d.]+%\]", re.MULTILINE)


@dataclass(frozen=True)
class Storage:
    rows: int
    total_bytes: int
    index_bytes: int


@dataclass(frozen=True)
class WAL:
    record_bytes: int
    image_bytes: int


@dataclass(frozen=True)
class Mark:
    """One moment."""

    at: float
    # Processor seconds so far, by part; of the whole machine under "machine".
    seconds: dict[str, float]
    lsn: str


def measure_storage(cluster: Cluster) -> Storage:
    return Storage(*_ask(cluster.database.primary(), SIZES))


def checkpoint(cluster: Cluster) -> None:
    with cluster.database.primary().connect() as connection:
        connection.execute("CHECKPOINT")


def mark(cluster: Cluster, phones: int) -> Mark:
    primary = cluster.database.primary()
    standbys = [node for node in cluster.database.nodes if node is not primary]
    patroni = [process for node in cluster.database.nodes for process in node.family()]
    parts = {
        "web": _families(cluster.web),
        "PostgreSQL": primary.servers(),
        "standby": [process for node in standbys for process in node.servers()],
        "PgBouncer": cluster.pgbouncer.family(),
        "Valkey": _families(cluster.valkey.nodes),
        "HAProxy": cluster.balancer.family(),
        "workers and beats": _families(cluster.celery),
        "Patroni, etcd and sentinels": [
            *patroni,
            *_families([cluster.database.etcd, *cluster.valkey.sentinels]),
        ],
        "phones": [psutil.Process(phones)],
    }
    seconds = {name: sum(map(_seconds, processes)) for name, processes in parts.items()}
    times = psutil.cpu_times()
    idle = times.idle + times.iowait + times.guest + times.guest_nice
    seconds["machine"] = sum(times) - idle
    lsn = _ask(primary, "SELECT pg_current_wal_lsn()::text")[0]
    return Mark(monotonic(), seconds, lsn)


def wal_between(cluster: Cluster, began: Mark, ended: Mark) -> WAL:
    """Return the bytes of WAL of a span; without full-page images, and these."""
    log = cluster.database.primary().data / "pg_wal"
    command = [str(BINARIES / "pg_waldump"), "--stats", f"--path={log}"]
    span = [f"--start={began.lsn}", f"--end={ended.lsn}"]
    run = subprocess.run([*command, *span], check=True, capture_output=True, text=True)
    found = WAL_TOTALS.search(run.stdout)
    assert found, run.stdout
    return WAL(int(found[1]), int(found[2]))


def _ask(node: DatabaseNode, query: str) -> tuple[Any, ...]:
    with node.connect(ROLE) as connection:
        row: tuple[Any, ...] = connection.execute(query).fetchone() or ()
    return row


def _families(programs: Iterable[Any]) -> list[psutil.Process]:
    return [process for program in programs for process in program.family()]


def _seconds(process: psutil.Process) -> float:
    """Return the processor time of a process and of its children that have ended."""
    with suppress(psutil.NoSuchProcess):
        times = process.cpu_times()
        return float(times.user + times.system + times.children_user + times.children_system)
    return 0.0
