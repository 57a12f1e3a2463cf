"""`make run` starts the real thing and takes all of it down; `make demo` tells its story."""

import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess, Popen

import pytest

from backend.local import ports, welcome
from backend.local.client import ErrorResponse
from backend.local.device import Device

pytestmark = [pytest.mark.postgresql, pytest.mark.timeout(120)]

BASE_DIR = Path(__file__).resolve().parent.parent
# What this test run is set up for.
FOREIGN = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HTTPS_ONLY", "DEMO_URL", "DEMO_PASSWORD"}


class Place:
    """Where the stack of a test keeps its things, and how it is reached."""

    def __init__(self) -> None:
        # The name of pytest's own directory would be too long for PostgreSQL's socket.
        self.local_dir = Path(tempfile.mkdtemp(prefix="authx-local-"))
        self.port = ports.free_port()
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.env = inherited | {"LOCAL_DIR": str(self.local_dir), "PORT": str(self.port)}

    def run(self, *words: str) -> CompletedProcess[str]:
        """Run a command to its end, and keep all that it says."""
        return subprocess.run(
            words, cwd=BASE_DIR, env=self.env, stdout=PIPE, stderr=STDOUT, text=True, check=False
        )


class Stack:
    """A stack from its start to its end."""

    def __init__(self, place: Place) -> None:
        self.log = place.local_dir / "log"
        with self.log.open("w") as output:
            self.process = Popen(RUN, cwd=BASE_DIR, env=place.env, stdout=output, stderr=STDOUT)
        deadline = time.monotonic() + 60
        while welcome.READY not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)
        self.family = family(self.process.pid)

    def text(self) -> str:
        return self.log.read_text()

    def kill(self, name: str) -> None:
        started = re.search(rf"{name} started \(pid=(\d+)\)", self.text())
        assert started
        os.kill(int(started[1]), signal.SIGKILL)

    def end(self) -> "End":
        """Wait for it, and look around; a zombie does not run any more."""
        status = self.process.wait(timeout=20)
        rows = ps("-o", "stat=,args=", "-p", ",".join(map(str, self.family)))
        return End(status, self.text(), [row for row in rows if not row.startswith("Z")])


@dataclass
class End:
    """How a stack ended, and which of its processes did not."""

    status: int
    text: str
    left_behind: list[str]


@dataclass
class Days:
    """What was seen of one stack, started on two days."""

    pasted: str
    managed: CompletedProcess[str]
    beside: CompletedProcess[str]
    interrupted: End
    next_morning: ErrorResponse
    killed: End


RUN = [sys.executable, "-m", "backend.local", "run"]
DEMO = [sys.executable, "-m", "backend.local", "demo"]


def ps(*words: str) -> list[str]:
    shown = subprocess.run(["ps", *words], stdout=PIPE, text=True, check=False)
    return shown.stdout.splitlines()


def family(pid: int) -> set[int]:
    """Return a process and all that it started."""
    rows = [[int(number) for number in row.split()] for row in ps("-e", "-o", "pid=,ppid=")]
    members, found = set[int](), {pid}
    while found:
        members |= found
        found = {child for child, parent in rows if parent in members} - members
    return members


@pytest.fixture(scope="module")
def module_place() -> Iterator[Place]:
    place = Place()
    yield place
    shutil.rmtree(place.local_dir)


@pytest.fixture
def place() -> Iterator[Place]:
    place = Place()
    yield place
    shutil.rmtree(place.local_dir)


@pytest.fixture(scope="module")
def days(module_place: Place) -> Days:
    place = module_place
    phone = Device(f"http://127.0.0.1:{place.port}", "phone")
    stack = Stack(place)
    pasted = place.run("bash", "-c", stack.text().partition("with bash:\n")[2]).stdout
    managed = place.run(
        "make", "--silent", "--no-print-directory", "manage", "ARGS=revoke_sessions --user demo"
    )
    beside = place.run(*RUN)
    phone.sign_in("demo", (place.local_dir / "demo-password").read_text())
    stack.process.send_signal(signal.SIGINT)
    interrupted = stack.end()
    stack = Stack(place)
    next_morning = phone.refresh()
    stack.kill("worker")
    return Days(pasted, managed, beside, interrupted, next_morning, stack.end())


def test_printed_lines_work_when_pasted(days: Days) -> None:
    login, me, refreshed, signed_out, refused = days.pasted.splitlines()
    assert '"access_token":' in login
    assert '"username":"demo"' in me
    assert '"access_token":' in refreshed
    assert signed_out == '{"revoked":1}'
    assert '"error":"invalid_token"' in refused


def test_a_command_reaches_the_running_stack(days: Days) -> None:
    # The lines before have signed everybody out, on the database where there is a demo account.
    assert (days.managed.returncode, days.managed.stdout) == (0, "Ended 0 sessions.\n")


def test_second_stack_in_the_same_place_is_refused_in_one_line(days: Days) -> None:
    assert days.beside.returncode == 1
    assert re.fullmatch(r"A stack already runs in .+\n", days.beside.stdout)


def test_ctrl_c_leaves_no_process_behind(days: Days) -> None:
    assert days.interrupted.left_behind == []
    assert days.interrupted.status == 128 + signal.SIGINT


def test_ctrl_c_ends_the_database_cleanly(days: Days) -> None:
    assert "database system is shut down" in days.interrupted.text
    assert "Traceback" not in days.interrupted.text


def test_second_start_finds_the_sessions_of_yesterday(days: Days) -> None:
    assert days.next_morning.status == HTTPStatus.OK


def test_killed_child_brings_the_rest_down_with_its_reason(days: Days) -> None:
    assert days.killed.left_behind == []
    assert days.killed.status == 1
    reason = days.killed.text.splitlines()[-1]
    assert reason == "worker ended by itself with code -9 (SIGKILL); the rest was stopped."


def test_busy_port_is_one_line_and_starts_nothing(place: Place) -> None:
    with socket.create_server(("127.0.0.1", place.port)):
        refused = place.run(*RUN)
    assert refused.returncode == 1
    assert re.fullmatch(rf"Port {place.port} is busy: .+\n", refused.stdout)
    assert [path.name for path in place.local_dir.iterdir()] == ["lock"]


def test_demo_goes_as_told(place: Place) -> None:
    demo = place.run(*DEMO)
    assert demo.stdout.endswith("All as told.\n"), demo.stdout
    assert demo.returncode == 0


def test_demo_fails_where_nothing_answers(place: Place) -> None:
    place.env |= {"DEMO_URL": f"http://127.0.0.1:{place.port}", "DEMO_PASSWORD": "unused"}
    demo = place.run(*DEMO)
    assert demo.returncode == 1
    assert "✗" in demo.stdout
