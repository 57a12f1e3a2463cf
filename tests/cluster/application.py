"""The processes of this project in the cluster: web nodes, workers, beats, commands."""

import os
import secrets
import subprocess
import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Final

from tests.cluster.programs import ROOT, Program, until
from tests.ports import HOST, free_port, listens

WEB_NODES: Final = 3
FIRST_RELEASE: Final = "1"
# Short, so that there are many refreshes, but longer than the grace period of 10 seconds.
LIFETIMES: Final = {
    "ACCESS_TOKEN_TTL": "11s",
    "ACCESS_TOKEN_MAX_TTL": "12s",
    "ACCESS_TOKEN_MIN_RENEWAL_INTERVAL": "5",
}
TEMPORARY_BYTES: Final = 2**20
TEMPORARY_FILES: Final = 64
INTERVALS: Final = {"SWEEP_INTERVAL": "5s", "NOTIFICATION_INTERVAL": "5s"}


def environment(directory: Path, *, database_url: str, valkey_url: str) -> dict[str, str]:
    """Return what the processes of the project have in common."""
    mail = directory / "mail"
    mail.mkdir()
    return {
        "DJANGO_SETTINGS_MODULE": "tests.cluster.settings",
        "DATABASE_URL": database_url,
        "REDIS_URL": valkey_url,
        "SECRET_KEY": secrets.token_urlsafe(64),
        "NUM_PROXIES": "1",
        "MAIL_DIR": str(mail),
        "LOG_FORMAT": "line",
        "NODE": "command",
        "RELEASE": FIRST_RELEASE,
        "PYTHONUNBUFFERED": "1",
        **LIFETIMES,
        **INTERVALS,
    }


class WebNode(Program):
    """One machine with gunicorn."""

    def __init__(self, directory: Path, name: str, environment: dict[str, str]) -> None:
        self.port, self.operator_port = free_port(), free_port()
        self.temporary = directory / f"{name}-tmp"
        self.temporary.mkdir()
        own = {
            "NODE": name,
            "TMPDIR": str(self.temporary),
            "LOCAL_DIR": str(directory / name),
            "WEB_CONCURRENCY": "1",
            # The port of health and metrics, which HAProxy asks.
            "OPERATOR_PORT": str(self.operator_port),
            # HAProxy notices within two seconds.
            "DRAIN_PERIOD": "3s",
        }
        options = [f"--bind={HOST}:{self.port}", "--graceful-timeout=10", "--no-control-socket"]
        command = [sys.executable, "-m", "gunicorn", "--config=python:backend.gunicorn", *options]
        super().__init__(directory, name, command, environment | own)

    def start(self, **changes: str) -> None:
        super().start(**changes)
        until(partial(listens, self.operator_port), self.name)

    def limit_disk(self) -> None:
        """Give it a small disk of its own for temporary files; needs root."""
        options = f"size={TEMPORARY_BYTES},nr_inodes={TEMPORARY_FILES}"
        subprocess.run(["mount", "-t", "tmpfs", "-o", options, "tmpfs", self.temporary], check=True)

    def fill_disk(self) -> None:
        """Leave neither a byte nor a file free."""
        with suppress(OSError):
            (self.temporary / "full").write_bytes(bytes(2 * TEMPORARY_BYTES))
        with suppress(OSError):
            for number in range(TEMPORARY_FILES):
                (self.temporary / str(number)).touch()

    def free_disk(self) -> None:
        if self.temporary.is_mount():
            # Lazily, because gunicorn has its files there open.
            subprocess.run(["umount", "--lazy", self.temporary], check=True)


def celery(directory: Path, name: str, environment: dict[str, str]) -> Program:
    """Return a worker or a beat, as its name says."""
    kind = name.partition("-")[0]
    options = ["--concurrency=1"] if kind == "worker" else ["--pidfile="]
    celery = [sys.executable, "-m", "celery", "--app=backend.celery", kind]
    own = {"NODE": name, "LOCAL_DIR": str(directory / name)}
    command = [*celery, "--loglevel=INFO", *options]
    return Program(directory, name, command, environment | own)


class CommandError(Exception):
    """Raised with the output of a command that failed."""


def manage(environment: dict[str, str], *arguments: str) -> None:
    """Run a command of manage.py; raises CommandError."""
    ended = subprocess.run(
        [sys.executable, "manage.py", *arguments],
        cwd=ROOT,
        env=os.environ | environment,
        check=False,
        capture_output=True,
        text=True,
        timeout=120,
    )
    if ended.returncode:
        raise CommandError(ended.stderr)
