"""A real gunicorn on loopback, in an environment of its own."""

import os
import secrets
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Thread
from urllib.parse import urlsplit

from django.db import connection

from tests.ports import HOST, free_port

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 20  # seconds
PRODUCTION = {
    "DATABASE_URL": "postgres://db.invalid/app",
    # Nothing listens there: limits count in the process, and what is watched here goes on.
    "REDIS_URL": "redis://127.0.0.1:1/0",
    "ALLOWED_HOSTS": "127.0.0.1,api.example.com",
    "NUM_PROXIES": "0",
}

# Most tests need a sign-in, and no hash that takes a fifth of a second.
QUICK_HASHES = {"DJANGO_SETTINGS_MODULE": "tests.quick_settings"}
KEPT = ("REDIS_URL", "SECRET_KEY", "HTTPS_ONLY", "PASSWORD_CHECKS_AT_ONCE")


def environment(directory: Path, **changes: str) -> dict[str, str]:
    """Return a production with a key of its own; an empty value unsets a variable."""
    base = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(directory), **PRODUCTION}
    wanted = base | {"SECRET_KEY": secrets.token_urlsafe(64)} | changes
    return {name: value for name, value in wanted.items() if value}


def of_this_run() -> dict[str, str]:
    """Return what makes a server of this project share the database of the test run."""
    url = urlsplit(os.environ["DATABASE_URL"])
    # Rebuilt by hand: urlunsplit drops the "//" of an address without a host.
    database = f"{url.scheme}://{url.netloc}/{connection.settings_dict['NAME']}?{url.query}"
    kept = {name: os.environ[name] for name in KEPT}
    changes = {"DATABASE_URL": database, "ALLOWED_HOSTS": HOST, "WEB_CONCURRENCY": "2"}
    return kept | changes


def command(port: int) -> list[str]:
    gunicorn = [sys.executable, "-m", "gunicorn", "--config=python:backend.gunicorn"]
    return [*gunicorn, f"--bind={HOST}:{port}", "--no-control-socket"]


@dataclass
class WebServer:
    """Where it listens, and what it has logged."""

    port: int
    log: Path
    pid: int = 0

    def ask(self, request: bytes) -> tuple[str, str]:
        """Send bytes as they are; return the status line and the rest of the answer."""
        answer = b""
        with socket.create_connection((HOST, self.port), timeout=PATIENCE) as connection:
            # A server that has refused hangs up on whoever goes on sending.
            Thread(target=_send, args=(connection, request), daemon=True).start()
            with suppress(ConnectionResetError):
                while part := connection.recv(65536):
                    answer += part
        status, _, rest = answer.decode().partition("\r\n")
        return status, rest


def _send(connection: socket.socket, request: bytes) -> None:
    with suppress(OSError):
        connection.sendall(request)


@contextmanager
def web_server(directory: Path, **changes: str) -> Iterator[WebServer]:
    """Run gunicorn for a block."""
    server = WebServer(free_port(), directory / "gunicorn.log")
    with (
        server.log.open("w") as log,
        subprocess.Popen(
            command(server.port),
            cwd=ROOT,
            env=environment(directory, **changes),
            stderr=log,
        ) as process,
    ):
        server.pid = process.pid
        try:
            _wait_for(server)
            yield server
        finally:
            process.terminate()


def _wait_for(server: WebServer) -> None:
    deadline = time.monotonic() + PATIENCE
    while "Booting worker" not in server.log.read_text():
        assert time.monotonic() < deadline, server.log.read_text()
        time.sleep(0.05)


def until(claim: Callable[[], bool], *, seconds: float) -> bool:
    """Poll other processes until the claim holds; False if it does not in time."""
    deadline = time.monotonic() + seconds
    while not claim():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
