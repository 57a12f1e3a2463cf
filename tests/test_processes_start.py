"""Every documented process starts in a read-only clone with the documented variables alone."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPConnection
from pathlib import Path

import pytest

from tests.fresh_clone import clone_to, read_only
from tests.ports import HOST, free_port
from tests.source_code import ROOT
from tests.web_server import of_this_run, until

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

OPERATIONS = (ROOT / "docs" / "operations.md").read_text()
# The commands of the page, in its order.
SERVERS, COMMANDS = re.findall(r"```sh\n(gunicorn.*?|python manage.*?)```", OPERATIONS, re.DOTALL)[
    :2
]
DOCUMENTED = dict(
    zip(
        ("web", "worker", "beat", "migrate"),
        [*SERVERS.splitlines(), COMMANDS.splitlines()[1]],
        strict=True,
    )
)
# A process of Celery's pool that ends a task in the moment of the stop waits 30 seconds for the
# worker to read the result.
STOP_SECONDS = 38
ENTRYPOINT = {role: f"docker/entrypoint {role}" for role in DOCUMENTED}


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    return clone_to(tmp_path / "clone")


def variables(clone: Path, port: int) -> dict[str, str]:
    """Return those that docs/operations.md requires, and where commands and a home are."""
    production = {
        "ALLOWED_HOSTS": "api.example.com",
        "NUM_PROXIES": "1",
        "EMAIL_URL": "smtp://127.0.0.1:1",
        "DEFAULT_FROM_EMAIL": "noreply@example.com",
    }
    shared = of_this_run()
    required = {name: shared[name] for name in ("DATABASE_URL", "REDIS_URL", "SECRET_KEY")}
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return required | production | {"PATH": path, "HOME": str(clone), "PORT": str(port)}


@contextmanager
def running(command: str, clone: Path, log: Path, port: int) -> Iterator[subprocess.Popen[bytes]]:
    with (
        log.open("wb") as out,
        subprocess.Popen(
            read_only(shlex.split(command), clone),
            cwd=clone,
            env=variables(clone, port),
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            yield process
        finally:
            process.kill()


def serves(port: int) -> bool:
    connection = HTTPConnection(HOST, port, timeout=5)
    headers = {"Host": "api.example.com", "X-Forwarded-Proto": "https"}
    try:
        connection.request("GET", "/users/me", headers=headers)
        return connection.getresponse().status == 401
    except OSError:
        return False
    finally:
        connection.close()


@pytest.mark.parametrize("commands", [DOCUMENTED, ENTRYPOINT], ids=["documented", "entrypoint"])
def test_every_process_starts_in_a_read_only_clone_and_stops_cleanly(
    tmp_path: Path, clone: Path, commands: dict[str, str]
) -> None:
    port = free_port()
    logs = {role: tmp_path / f"{role}.log" for role in commands}

    def says(role: str, text: str) -> bool:
        return text in logs[role].read_text()

    with ExitStack() as stack:
        started = {
            role: stack.enter_context(running(command, clone, logs[role], port))
            for role, command in commands.items()
        }
        assert started.pop("migrate").wait(30) == 0, logs["migrate"].read_text()
        assert until(lambda: serves(port), seconds=20), logs["web"].read_text()
        assert until(lambda: says("worker", " ready."), seconds=20), logs["worker"].read_text()
        assert until(lambda: says("beat", "Sending due task"), seconds=20), logs["beat"].read_text()
        for process in started.values():
            process.send_signal(signal.SIGTERM)
        codes = {role: process.wait(STOP_SECONDS) for role, process in started.items()}
    assert codes == {"web": 0, "worker": 0, "beat": 0}
    said = "".join(log.read_text() for log in logs.values())
    assert "Traceback" not in said
    assert "Read-only file system" not in said
    assert "Permission denied" not in said
