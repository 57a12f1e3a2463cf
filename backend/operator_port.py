"""The port OPERATOR_PORT, on which a process serves its health and metrics to operators only.

A port of their own keeps them from the public without trusting a header: no proxy forwards to it.
This is loaded before Django is set up; the pages are in backend.monitoring.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from time import time
from typing import Final

from django.utils.module_loading import import_string
from environs import FileAwareEnv

env = FileAwareEnv()
MEMORY: Final = "/dev/shm"  # noqa: S108 # nosec B108 -- mkdtemp chooses names in it
METRICS_DIR: Final = "PROMETHEUS_MULTIPROC_DIR"
PREFIX: Final = "authx-metrics-"
# A directory is locked a moment after it is created.
MIN_AGE_SECONDS: Final = 60


def operator_port() -> int | None:
    """Return the port for health and metrics; None if there is none."""
    return env.int("OPERATOR_PORT", None)


def operator_address() -> tuple[str, int]:
    """Return where health and metrics are served; every address has to be asked for."""
    return env.str("OPERATOR_HOST", "127.0.0.1"), operator_port() or 0


def drain_period() -> timedelta:
    """Return how long a web server that is told to stop goes on accepting requests."""
    return env.timedelta("DRAIN_PERIOD", timedelta(0))


def memory_dir() -> str | None:
    """Return a directory in memory for small files, None if this machine has none.

    On a full disk, a process that writes to a mapped file is killed (SIGBUS), and gunicorn cannot
    start a worker.
    """
    return MEMORY if os.access(MEMORY, os.W_OK) else None


def share_metrics() -> None:
    """Create the directory in which the processes of one server add up their metrics.

    prometheus_client looks for it when it is imported, so this comes before.
    """
    if operator_port() is None or METRICS_DIR in os.environ:
        return
    parent = memory_dir() or tempfile.gettempdir()
    remove_left_behind(Path(parent))
    directory = tempfile.mkdtemp(prefix=f"{PREFIX}{os.getpid()}-", dir=parent)
    # Until this process and those that it forks have ended, however they end. NFS cannot lock a
    # directory, and so removes none.
    with suppress(OSError):
        fcntl.flock(os.open(directory, os.O_RDONLY), fcntl.LOCK_EX)
    os.environ[METRICS_DIR] = directory
    owner = os.getpid()

    def remove() -> None:
        # A forked process inherits this function.
        if os.getpid() == owner:
            shutil.rmtree(directory, ignore_errors=True)

    atexit.register(remove)


def remove_left_behind(parent: Path) -> None:
    """Remove the metrics of processes that were killed; a pod keeps them when it restarts one.

    A lock and no process number says whether a server is alive: containers may share the directory.
    """
    for directory in parent.glob(f"{PREFIX}*"):
        # That of a server, of another user, or removed by another process meanwhile.
        with suppress(OSError):
            if time() - directory.stat().st_mtime < MIN_AGE_SECONDS:
                continue
            descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(directory)
            finally:
                os.close(descriptor)


def forget_process(pid: int) -> None:
    """Remove what a process that has ended reports as its current state."""
    if METRICS_DIR in os.environ:
        # Loaded late, because share_metrics() comes before prometheus_client.
        import_string("prometheus_client.multiprocess.mark_process_dead")(pid)
