"""`make run` starts everything and stops everything; `make demo` shows the life of a session."""

import os
import re
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from subprocess import PIPE, STDOUT, CompletedProcess, Popen

import httpx
import pytest
from django.utils import timezone
from honcho.printer import Message
from redis import Redis
from redis.exceptions import AuthenticationError

from backend import dev, dev_servers
from tests.ports import free_port, listens

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.timeout(120)]

BASE_DIR = Path(__file__).resolve().parent.parent
# What this test run is set up for.
FOREIGN = {"DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HTTPS_ONLY"}
RUN = [sys.executable, "-m", "backend.dev", "run"]
DEMO = [sys.executable, "-m", "backend.dev", "demo"]
STORY = [sys.executable, "docs/examples/story.py"]
END_OF_STORY = "Everything went as described."
SECRETS = ("demo-password", "environment", "secret-key", "valkey-password")


NEXT_DAY = """
import sys
from urllib.parse import urlencode
from django.test import Client
from backend import dev_servers
with dev_servers.prepared():
    form = urlencode({"grant_type": "refresh_token", "refresh_token": sys.argv[1]})
    client = Client(SERVER_NAME="localhost")
    response = client.post("/users/token", form, "application/x-www-form-urlencoded")
    print(response.status_code)
"""
KILLED = """
import sys
from backend import dev
sys.exit(dev.supervise({"web": "exec sleep 60", "worker": "kill -9 $$"}))
"""
# A signal comes when honcho has started the process, and does not know its pid yet.
EARLY = """
import signal
import sys
from backend import dev
manager = dev.SafeManager(dev.SafePrinter(sys.stdout))
manager.add_process("sleeper", "exec sleep 60")
start = manager._start
manager._start = lambda: (start(), signal.raise_signal(signal.SIGINT))
manager.loop()
sys.exit(manager.returncode)
"""


class Directory:
    """Where a stack keeps its files, and the environment of whoever uses it."""

    def __init__(self) -> None:
        # The name of pytest's own directory would be too long for PostgreSQL's socket.
        self.path = Path(tempfile.mkdtemp(prefix="dev-"))
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
        self.environment = inherited | {
            "LOCAL_DIR": str(self.path),
            "PORT": str(self.port),
            "REFRESH_TOKEN_GRACE_PERIOD": "1s",
            "TMPDIR": str(self.path),
            "WEB_CONCURRENCY": "1",
        }

    def execute(self, *command: str, **changes: str) -> CompletedProcess[str]:
        """Run a command to its end, and keep its output."""
        return subprocess.run(
            command,
            cwd=BASE_DIR,
            env=self.environment | changes,
            stdout=PIPE,
            stderr=STDOUT,
            text=True,
            check=False,
        )

    def manage(self, command: str) -> CompletedProcess[str]:
        make = ("make", "--silent", "--no-print-directory", "manage")
        return self.execute(*make, f"ARGS={command}")

    def processes(self) -> list[str]:
        """Return the command lines that name this directory or this port; a zombie has none."""
        shown = self.execute("ps", "-e", "-ww", "-o", "args=").stdout.splitlines()
        return [row for row in shown if str(self.path) in row or f":{self.port} " in row]


class Stack:
    """A stack from its start to its end."""

    def __init__(self, directory: Directory) -> None:
        self.directory = directory
        self.log = directory.path / "log"
        with self.log.open("w") as output:
            self.process = Popen(
                RUN,
                cwd=BASE_DIR,
                env=directory.environment,
                stdout=output,
                stderr=STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while dev.READY not in self.text():
            assert self.process.poll() is None, self.text()
            assert time.monotonic() < deadline, self.text()
            time.sleep(0.05)

    def text(self) -> str:
        return self.log.read_text()

    def end(self) -> "End":
        status = self.process.wait(timeout=20)
        return End(status, self.text(), self.directory.processes())


@dataclass
class End:
    """How a stack ended, and which of its processes did not."""

    status: int
    text: str
    left_behind: list[str]


@dataclass
class Seen:
    """What one stack showed, and what a second start found of it."""

    processes: list[str]
    pasted: str
    story: CompletedProcess[str]
    wrong_password: CompletedProcess[str]
    managed: CompletedProcess[str]
    modes: dict[str, str]
    environment: str
    refusal: str
    valkey_refusal: str
    interrupted: End
    valkey_listens: bool
    managed_afterwards: CompletedProcess[str]
    second_start: CompletedProcess[str]


@pytest.fixture
def directory() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    shutil.rmtree(directory.path)


@pytest.fixture(scope="module")
def module_directory() -> Iterator[Directory]:
    directory = Directory()
    yield directory
    shutil.rmtree(directory.path)


@pytest.fixture(scope="module")
def stack(module_directory: Directory) -> Iterator[Stack]:
    stack = Stack(module_directory)
    yield stack
    # It has ended long since, unless something failed.
    stack.process.terminate()
    stack.process.wait(timeout=20)


@pytest.fixture(scope="module")
def seen(stack: Stack) -> Seen:
    directory = stack.directory
    processes = directory.processes()
    password = (directory.path / "demo-password").read_text()
    story = {"URL": directory.url, "PASSWORD": password, "GRACE_PERIOD": "1"}
    pasted = directory.execute("bash", "-c", lines_to_try(stack.text()))
    told = directory.execute(*STORY, **story)
    wrong_password = directory.execute(*STORY, **story | {"PASSWORD": "wrong"})
    managed = directory.manage("revoke_sessions --user demo")
    files = [*(directory.path / name for name in SECRETS), *directory.path.glob("postgres/.s*32")]
    modes = {path.name: stat.filemode(path.stat().st_mode) for path in files}
    environment = (directory.path / "environment").read_text()
    with ExitStack() as exits, pytest.raises(SystemExit) as refusal:
        dev_servers.require_only_stack(directory.path, exits)
    port, _ = valkey_of(environment)
    with Redis(port=port) as stranger, pytest.raises(AuthenticationError) as valkey_refusal:
        stranger.ping()
    pair = sign_in(directory.url, password)
    # As a terminal does: to the runner and to its children at once.
    os.killpg(stack.process.pid, signal.SIGINT)
    interrupted = stack.end()
    valkey_listens = listens(port)
    managed_afterwards = directory.manage("check")
    second_start = directory.execute(sys.executable, "-c", NEXT_DAY, pair["refresh_token"])
    return Seen(
        processes,
        pasted.stdout,
        told,
        wrong_password,
        managed,
        modes,
        environment,
        str(refusal.value),
        str(valkey_refusal.value),
        interrupted,
        valkey_listens,
        managed_afterwards,
        second_start,
    )


def valkey_of(environment: str) -> tuple[int, str]:
    """Return port and password of the stack's Valkey."""
    found = re.search(r"redis://:(?P<password>\S+)@127\.0\.0\.1:(?P<port>\d+)", environment)
    assert found
    return int(found["port"]), found["password"]


def lines_to_try(text: str) -> str:
    """Return what a person would paste; records of the log may follow at any moment."""
    return text.partition("with bash:\n\n")[2].partition("\n\n")[0]


def sign_in(url: str, password: str) -> dict[str, str]:
    response = httpx.post(f"{url}/users/login", json={"username": "demo", "password": password})
    pair: dict[str, str] = response.json()
    return pair


def test_records_of_the_log_are_not_pasted() -> None:
    printed = "with bash:\n\n# Sign in.\ncurl\n\n10:24:02 worker | INFO sweep: 0 sessions\n"
    assert lines_to_try(printed) == "# Sign in.\ncurl"


def test_printed_lines_work_when_pasted(seen: Seen) -> None:
    login, me, refreshed, signed_out, refused = seen.pasted.splitlines()
    assert '"access_token":' in login
    assert '"username":"demo"' in me
    assert '"access_token":' in refreshed
    assert signed_out == '{"revoked":1}'
    assert '"error":"invalid_token"' in refused


def test_story_runs_on_a_running_stack(seen: Seen) -> None:
    assert seen.story.stdout.endswith(f"{END_OF_STORY}\n"), seen.story.stdout
    assert seen.story.returncode == 0


def test_story_fails_where_the_service_deviates(seen: Seen) -> None:
    assert seen.wrong_password.returncode == 1
    assert END_OF_STORY not in seen.wrong_password.stdout


def test_management_command_reaches_the_running_stack(seen: Seen) -> None:
    # The lines and the story have signed the demo user out.
    assert (seen.managed.returncode, seen.managed.stdout) == (0, "Revoked 0 sessions.\n")


def test_management_command_without_a_stack_is_refused_in_one_line(seen: Seen) -> None:
    assert seen.managed_afterwards.returncode != 0
    assert re.match(
        r"No stack runs in .+: start one with make run\.\n", seen.managed_afterwards.stdout
    )


def test_only_the_owner_reads_the_secrets_and_opens_the_database(seen: Seen) -> None:
    assert seen.modes == dict.fromkeys(SECRETS, "-rw-------") | {".s.PGSQL.5432": "srwx------"}


def test_valkey_asks_for_a_password_that_no_command_line_shows(seen: Seen) -> None:
    assert "AUTH" in seen.valkey_refusal
    _, password = valkey_of(seen.environment)
    assert [row for row in seen.processes if password in row] == []


def test_second_stack_in_the_same_directory_is_refused(seen: Seen) -> None:
    assert re.fullmatch(r"A stack already runs in .+: stop it first\.", seen.refusal)


def test_ctrl_c_leaves_no_process_behind(seen: Seen) -> None:
    assert len(seen.processes) >= 3
    assert seen.interrupted.left_behind == []
    assert not seen.valkey_listens
    assert seen.interrupted.status == 128 + signal.SIGINT
    assert "Traceback" not in seen.interrupted.text


def test_second_start_keeps_the_sessions(seen: Seen) -> None:
    assert seen.second_start.stdout.endswith("200\n"), seen.second_start.stdout
    assert seen.second_start.returncode == 0


def test_killed_child_stops_everything_and_is_named(directory: Directory) -> None:
    ended = directory.execute(sys.executable, "-c", KILLED)
    assert "sending SIGTERM to web" in ended.stdout
    assert ended.returncode == 128 + signal.SIGKILL
    reason = ended.stdout.splitlines()[-1]
    assert reason == "worker ended with status -9; everything else was stopped."


def test_demo_runs_the_story_on_a_stack_of_its_own(directory: Directory) -> None:
    demo = directory.execute(*DEMO, DATABASE_URL="postgres://db.invalid/app")
    assert END_OF_STORY in demo.stdout, demo.stdout
    assert demo.returncode == 0
    assert directory.processes() == []
    assert list(directory.path.glob("demo-*")) == []


def test_servers_that_the_environment_names_are_used(directory: Directory) -> None:
    refused = directory.execute(
        *RUN, DATABASE_URL="postgres://127.0.0.1:1/app", REDIS_URL=os.environ["REDIS_URL"]
    )
    assert refused.returncode == 1
    assert re.fullmatch(r"The database does not answer: .+\n", refused.stdout)
    # Nothing of ours was started in their place.
    assert not (directory.path / "postgres").exists()
    assert not (directory.path / "valkey").exists()


def test_broker_that_does_not_answer_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REDIS_URL", "redis://127.0.0.1:1/0")
    with pytest.raises(SystemExit, match=r"^The broker of REDIS_URL does not answer: .+$"):
        dev_servers.require_broker()


def test_busy_port_is_one_line() -> None:
    with socket.create_server((dev_servers.HOST, 0)) as server:
        port = server.getsockname()[1]
        with pytest.raises(SystemExit, match=rf"^Port {port} is in use: .+$"):
            dev_servers.require_free(port)
    dev_servers.require_free(port)


def test_port_that_does_not_exist_is_one_line() -> None:
    with pytest.raises(SystemExit, match=r"^Port 70000 does not exist: .+$"):
        dev_servers.require_free(70000)


def test_ctrl_c_in_the_first_moment_stops_what_has_just_started(directory: Directory) -> None:
    ended = directory.execute(sys.executable, "-c", EARLY)
    assert "sending SIGTERM to sleeper" in ended.stdout
    assert ended.returncode == 130


class ClosedTerminal(StringIO):
    """A terminal after SIGHUP."""

    def write(self, _: str) -> int:
        raise OSError("Input/output error")


def test_closed_terminal_does_not_keep_the_stack_from_stopping() -> None:
    line = Message("line", b"text", timezone.now(), "web", None)
    dev.SafePrinter(ClosedTerminal()).write(line)
