"""A server, a worker and a beat do not start with a configuration that is wrong."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.ports import free_port
from tests.web_server import ROOT, command, environment, until

pytestmark = pytest.mark.waits

CELERY = [sys.executable, "-m", "celery", "--app=backend.celery"]


def start(arguments: list[str], directory: Path, **changes: str) -> tuple[int, str]:
    """Run until it ends by itself; return the exit code and what was said."""
    ended = subprocess.run(
        arguments,
        cwd=ROOT,
        env=environment(directory, **changes),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=30,
        check=False,
    )
    return ended.returncode, ended.stdout


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY has to be set"),
        ({"SECRET_KEY": "changeme"}, "authx.E030"),
        ({"NUM_PROXIES": ""}, "NUM_PROXIES"),
        ({"DEBUG": "true"}, "backend.E001"),
        ({"HTTPS_ONLY": "false"}, "backend.E002"),
        ({"REDIS_URL": ""}, "authx.E024"),
        ({"SESSION_TTL": "1d"}, "authx.E005"),
    ],
    ids=str,
)
def test_no_web_server_starts(tmp_path: Path, changes: dict[str, str], reason: str) -> None:
    code, said = start(command(free_port()), tmp_path, **changes)
    assert code != 0
    assert reason in said
    assert "changeme" not in said


@pytest.mark.parametrize("role", ["worker", "beat"])
def test_no_worker_and_no_beat_starts(tmp_path: Path, role: str) -> None:
    code, said = start([*CELERY, role], tmp_path, SECRET_KEY="changeme")
    assert code != 0
    assert "authx.E030" in said


def test_beat_starts_every_task_at_once_and_writes_no_file(tmp_path: Path) -> None:
    directory = tmp_path / "empty"
    directory.mkdir()
    log = tmp_path / "beat.log"
    with (
        log.open("w") as out,
        subprocess.Popen(
            [*CELERY, "beat"],
            cwd=directory,
            env=environment(directory, PYTHONPATH=str(ROOT), REDIS_URL=os.environ["REDIS_URL"]),
            stdout=out,
            stderr=subprocess.STDOUT,
        ) as process,
    ):
        try:
            sent = until(lambda: log.read_text().count("Sending due task") == 2, seconds=20)
        finally:
            process.terminate()
    assert sent, log.read_text()
    assert process.returncode == 0
    assert list(directory.iterdir()) == []
