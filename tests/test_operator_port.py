"""Health and metrics are served by every process, on a port of their own and nowhere else."""

import fcntl
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from django.contrib.auth.models import User
from django.db import InternalError, OperationalError, connection, transaction
from django.db.migrations.recorder import MigrationRecorder
from prometheus_client.parser import text_string_to_metric_families

from backend import monitoring
from backend.operator_port import PREFIX, remove_left_behind
from tests.failing_database import fail_every_statement
from tests.phone import PASSWORD, Phone
from tests.ports import HOST, free_port, listens
from tests.web_server import (
    PATIENCE,
    ROOT,
    WebServer,
    command,
    environment,
    of_this_run,
    until,
    web_server,
)

MEMORY = Path("/dev/shm")
PAGES = ("/health/live", "/health/ready", "/metrics")
THREADS = 4  # of a process of the web server
PYTHON = [sys.executable, "-m"]


@pytest.fixture(autouse=True)
def _keep_the_connection_of_the_test(monkeypatch: pytest.MonkeyPatch) -> None:
    """Do as Django's test client does: a test's transaction would end with its connection."""
    monkeypatch.setattr(monitoring, "close_old_connections", lambda: None)


def ask(path: str, method: str = "GET") -> tuple[str, bytes]:
    """Call the pages as a WSGI server does, in this process."""
    statuses: list[str] = []

    def start_response(status: str, *_: Any) -> Any:
        statuses.append(status)

    environ = {"PATH_INFO": path, "REQUEST_METHOD": method}
    body = monitoring.application(environ, start_response)
    return statuses[0], b"".join(body)


def test_ready_says_what_works(db: None) -> None:
    assert ask("/health/ready") == (
        "200 OK",
        b'{"status": "ok", "database": "ok", "rate_limits": "ok"}\n',
    )


@pytest.mark.parametrize("error", [OperationalError("away"), InternalError("a standby")])
def test_without_a_database_a_process_lives_and_is_not_ready(db: None, error: Exception) -> None:
    with connection.execute_wrapper(fail_every_statement(error)):
        status, body = ask("/health/ready")
        assert ask("/health/live") == ("200 OK", b'{"status": "ok"}\n')
        assert ask("/metrics")[0] == "200 OK"
    assert (status, b'"database": "unavailable"' in body) == ("503 Service Unavailable", True)
    # Whoever asks must not learn how the database is reached.
    assert b"away" not in body


@pytest.mark.postgresql
def test_a_read_only_database_is_not_ready(db: None) -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET TRANSACTION READ ONLY")
    assert ask("/health/ready")[0] == "503 Service Unavailable"


def test_a_database_that_is_not_migrated_is_not_ready(
    db: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monitoring._migrated.clear()
    with monkeypatch.context() as patch:
        applied = {("auth", "0001_initial"): None}
        patch.setattr(MigrationRecorder, "applied_migrations", lambda _: applied)
        status, body = ask("/health/ready")
    assert (status, b'"not migrated"' in body) == ("503 Service Unavailable", True)
    assert ask("/health/ready")[0] == "200 OK"


def test_without_counters_a_process_is_ready_and_says_that_limits_are_degraded(
    db: None, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "redis://127.0.0.1:1/0"}
    status, body = ask("/health/ready")
    assert (status, b'"rate_limits": "degraded"' in body) == ("200 OK", True)


@pytest.mark.parametrize("path", ["", "/", "/health", "/users/me", "/metrics/", "/health/live/"])
def test_nothing_else_is_served(path: str) -> None:
    assert ask(path)[0] == "404 Not Found"


@pytest.mark.parametrize("path", PAGES)
def test_only_reading_is_allowed(db: None, path: str) -> None:
    assert ask(path, "POST")[0] == "405 Method Not Allowed"
    assert ask(path, "HEAD") == ("200 OK", b"")


# --- A real web server


@pytest.fixture(scope="module")
def operator_port() -> int:
    return free_port()


@pytest.fixture
def server(tmp_path: Path, operator_port: int, transactional_db: None) -> Iterator[WebServer]:
    changes = of_this_run() | {"OPERATOR_PORT": str(operator_port)}
    with web_server(tmp_path, **changes) as running:
        # A process listens there once it has loaded the application; both have a file of their own.
        assert until(lambda: listens(operator_port), seconds=PATIENCE)
        assert until(lambda: len(worker_pids(running)) == 2, seconds=PATIENCE)
        yield running


def counted(port: int, name: str, **labels: str) -> float:
    text = httpx.get(f"http://{HOST}:{port}/metrics").text
    families = text_string_to_metric_families(text)
    return sum(
        one.value
        for family in families
        for one in family.samples
        if one.name == name and labels.items() <= one.labels.items()
    )


@pytest.mark.waits
@pytest.mark.postgresql
def test_the_web_server_adds_its_processes_up_and_shows_nothing_on_its_public_port(
    server: WebServer, operator_port: int
) -> None:
    operator, public = (f"http://{HOST}:{port}" for port in (operator_port, server.port))
    assert [httpx.get(operator + page).status_code for page in PAGES] == [200] * 3
    # A client chooses the header Host, not the socket that it reached.
    spoofed = {"Host": f"{HOST}:{operator_port}"}
    for page in PAGES:
        for headers in ({}, spoofed):
            assert httpx.get(public + page, headers=headers).json()["error"] == "not_found"
    assert httpx.get(f"{operator}/users/me").json() == {"status": "not found"}

    # Each connection goes to either of two processes.
    for _ in range(20):
        assert httpx.get(f"{public}/users/me").status_code == 401
    name, route = "authx_http_request_duration_seconds_count", {"route": "authx:me"}
    assert {counted(operator_port, name, **route) for _ in range(4)} == {20}
    # Some proxies and probes do not send the name of a host.
    answer = WebServer(operator_port, server.log).ask(b"GET /health/live HTTP/1.0\r\n\r\n")
    assert answer[0] == "HTTP/1.0 200 OK"


@pytest.mark.waits
def test_the_files_of_the_metrics_end_with_the_server_and_requests_of_the_dead_count_on(
    tmp_path: Path,
) -> None:
    port = free_port()
    changes = {"OPERATOR_PORT": str(port), "WEB_CONCURRENCY": "1"}
    with web_server(tmp_path, **changes) as server:
        assert until(lambda: listens(port), seconds=PATIENCE)
        httpx.get(f"http://{HOST}:{server.port}/users/me")
        (before,) = pids = worker_pids(server)
        os.kill(before, 9)
        assert until(lambda: worker_pids(server) > pids, seconds=PATIENCE)
        assert until(lambda: listens(port), seconds=PATIENCE)
        name = "authx_http_request_duration_seconds_count"
        # Refused before its route was looked up: it did not come over TLS.
        assert counted(port, name, route="none", status="403") == 1
        # Its current state is nobody's: a request in progress died with it.
        left = [one for one in metrics_of(server) if one.name.endswith(f"_{before}.db")]
        assert {one.name.partition("_")[0] for one in left} >= {"counter", "histogram"}
        assert not [one for one in left if one.name.startswith("gauge_live")]
    assert until(lambda: not metrics_of(server), seconds=PATIENCE)


@pytest.mark.waits
def test_a_server_removes_the_metrics_of_one_that_was_killed(tmp_path: Path) -> None:
    port = free_port()
    changes = {"OPERATOR_PORT": str(port), "WEB_CONCURRENCY": "1"}
    before = set(MEMORY.glob(f"{PREFIX}*"))
    with web_server(tmp_path, **changes) as killed:
        assert until(lambda: listens(port), seconds=PATIENCE)
        directory = metrics_of(killed)[0].parent
        assert directory not in before
        for process in [(master := psutil.Process(killed.pid)), *master.children()]:
            process.kill()
        assert until(lambda: not listens(port), seconds=PATIENCE)
    assert directory.exists()
    an_hour_ago = time.time() - 3600
    os.utime(directory, (an_hour_ago, an_hour_ago))
    with web_server(tmp_path, **changes) as server:
        assert until(lambda: listens(port), seconds=PATIENCE)
        assert metrics_of(server)
    assert not directory.exists()


def test_the_metrics_of_a_server_that_lives_or_starts_stay(tmp_path: Path) -> None:
    left, living, starting = (tmp_path / f"{PREFIX}{name}" for name in ("1-a", "2-b", "3-c"))
    other = tmp_path / "mine"
    for directory in (left, living, starting, other):
        directory.mkdir()
        (directory / "counter_1.db").touch()
    for directory in (left, living, other):
        os.utime(directory, (0, 0))
    descriptor = os.open(living, os.O_RDONLY)
    fcntl.flock(descriptor, fcntl.LOCK_EX)
    remove_left_behind(tmp_path)
    assert set(tmp_path.iterdir()) == {living, starting, other}
    os.close(descriptor)
    remove_left_behind(tmp_path)
    assert set(tmp_path.iterdir()) == {starting, other}


def metrics_of(server: WebServer) -> list[Path]:
    """Return the files in which a web server adds its metrics up; one for each process and kind."""
    return list(MEMORY.glob(f"{PREFIX}{server.pid}-*/*.db"))


def worker_pids(server: WebServer) -> set[int]:
    files = [one for one in metrics_of(server) if one.stem.startswith("counter")]
    return {int(one.stem.rpartition("_")[2]) for one in files}


@pytest.mark.waits
def test_a_web_server_without_a_database_lives_is_not_ready_and_the_check_of_a_container_passes(
    tmp_path: Path,
) -> None:
    port = free_port()
    environment = os.environ | {"OPERATOR_PORT": str(port)}

    def check(*page: str) -> tuple[int, str]:
        command = [*PYTHON, "backend.healthcheck", *page]
        result = subprocess.run(
            command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False
        )
        return result.returncode, result.stdout

    status, text = check()
    assert (status, text.partition(":")[0]) == (1, "No answer")
    with web_server(tmp_path, OPERATOR_PORT=str(port)):
        assert until(lambda: listens(port), seconds=PATIENCE)
        assert httpx.get(f"http://{HOST}:{port}/health/ready").status_code == 503
        assert counted(port, "authx_database_up") == 0
        assert check() == (0, '{"status": "ok"}\n')
        status, text = check("/health/ready")
        assert (status, json.loads(text)["database"]) == (1, "unavailable")


@pytest.mark.waits
def test_without_the_variable_there_is_no_such_port(tmp_path: Path) -> None:
    with web_server(tmp_path) as server:
        assert "Listening at" in server.log.read_text()
        assert server.log.read_text().count("http://") == 1
        assert not metrics_of(server)


@pytest.mark.waits
def test_the_port_of_another_server_is_refused(tmp_path: Path) -> None:
    with web_server(tmp_path, OPERATOR_PORT=(port := str(free_port()))) as first:
        assert until(lambda: listens(int(port)), seconds=PATIENCE)
        ended = subprocess.run(
            command(free_port()),
            cwd=ROOT,
            env=environment(tmp_path, OPERATOR_PORT=port),
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
        assert ended.returncode
        assert "Address already in use" in ended.stderr
        assert first.ask(b"GET / HTTP/1.0\r\n\r\n")[0]


def waiting_for_a_lock() -> int:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT count(*) FROM pg_locks"
            " WHERE NOT granted AND relation = 'authx_devicesession'::regclass"
        )
        count: int = cursor.fetchone()[0]
    return count


@pytest.mark.waits
@pytest.mark.postgresql
def test_while_every_thread_waits_for_the_database_the_process_shows_that_it_lives(
    tmp_path: Path, transactional_db: None
) -> None:
    port = free_port()
    changes = of_this_run() | {"OPERATOR_PORT": str(port), "WEB_CONCURRENCY": "1"}
    User.objects.create_user("alice", password=PASSWORD)
    phone = Phone().sign_in()
    with (
        web_server(tmp_path, **changes) as server,
        ThreadPoolExecutor(8) as phones,
    ):
        assert until(lambda: listens(port), seconds=PATIENCE)
        headers = {"Authorization": f"Bearer {phone.access_token}"}
        url = f"http://{HOST}:{server.port}/users/me"
        with transaction.atomic():
            with connection.cursor() as cursor:
                cursor.execute("LOCK TABLE authx_devicesession")
            waiting = [phones.submit(httpx.get, url, headers=headers, timeout=30) for _ in range(8)]
            assert until(lambda: waiting_for_a_lock() == THREADS, seconds=PATIENCE)
            live = httpx.get(f"http://{HOST}:{port}/health/live", timeout=1)
            assert live.status_code == 200
        assert {one.result().status_code for one in waiting} <= {200, 503}


@pytest.mark.waits
def test_a_web_server_that_stops_says_so_and_goes_on_until_a_balancer_has_noticed(
    tmp_path: Path,
) -> None:
    port = free_port()
    changes = {"OPERATOR_PORT": str(port), "WEB_CONCURRENCY": "1"}
    live = f"http://{HOST}:{port}/health/live"
    with web_server(tmp_path, **changes, DRAIN_PERIOD="1s") as server:
        assert until(lambda: listens(port), seconds=PATIENCE)
        assert httpx.get(live).status_code == 200
        (worker,) = worker_pids(server)
        master = psutil.Process(worker).parent()
        master.terminate()
        assert until(lambda: httpx.get(live).status_code == 503, seconds=PATIENCE)
        assert httpx.get(live).json() == {"status": "stopping"}
        # A balancer that has not noticed yet; this request is answered in full.
        with socket.create_connection((HOST, server.port)) as slow:
            slow.sendall(b"GET /users/me HTTP/1.1\r\n")
            slow.sendall(b"Host: 127.0.0.1\r\n\r\n")
            assert slow.recv(99).startswith(b"HTTP/1.1 403 Forbidden")
        assert until(lambda: not psutil.pid_exists(worker), seconds=PATIENCE)
