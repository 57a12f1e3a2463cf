"""A refresh that waited in a frozen process or a queue is late, and no theft."""

import json
import os
import signal
import socket
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory

from authx.models import DeviceSession, SecurityEvent
from authx.rest.waiting import time_waited
from authx.sessions import refresh
from tests.conftest import Clock
from tests.effort import chosen
from tests.phone import Phone, error_of, grace_period_over
from tests.ports import HOST
from tests.web_server import of_this_run, until, web_server

HEADER = "X-Request-Start"
LATE = (HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable")
REUSE = (HTTPStatus.BAD_REQUEST, "invalid_grant")


def seconds_ago(seconds: float) -> str:
    return f"t={time.time() - seconds:.3f}"


@pytest.fixture
def superseded(phone: Phone) -> str:
    """Return a refresh token whose successor was used for longer than the grace period."""
    token = phone.refresh_token
    phone.refresh().refresh()
    grace_period_over()
    return token


@pytest.fixture
def proxy(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"REQUEST_START_HEADER": HEADER}


def late_refresh(token: str, waited: str) -> Any:
    return Phone(pair={"refresh_token": token}).try_refresh(headers={HEADER: waited})


@pytest.mark.usefixtures("proxy")
def test_a_request_that_waited_in_the_proxy_ends_no_session(phone: Phone, superseded: str) -> None:
    assert error_of(late_refresh(superseded, seconds_ago(11))) == LATE
    assert phone.refresh().is_signed_in
    event = SecurityEvent.objects.get(kind="two_places")
    assert event.reason == "late duplicate of generation 0"


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize("header", ["", "t=", "soon", 9, -60, 3600, "t=1", f"t={10**40}"])
def test_a_request_that_did_not_wait_that_long_is_judged(
    phone: Phone, superseded: str, header: str | int
) -> None:
    waited = header if isinstance(header, str) else seconds_ago(header)
    assert error_of(late_refresh(superseded, waited)) == REUSE
    assert not phone.is_signed_in


def test_an_attacker_cannot_say_that_the_request_waited(phone: Phone, superseded: str) -> None:
    assert error_of(late_refresh(superseded, seconds_ago(11))) == REUSE
    assert not phone.is_signed_in


@pytest.mark.usefixtures("proxy")
def test_being_late_excuses_a_token_for_ten_minutes_only(
    clock: Clock, phone: Phone, superseded: str
) -> None:
    assert error_of(late_refresh(superseded, seconds_ago(11))) == LATE
    clock.forward(minutes=10)
    assert error_of(late_refresh(superseded, seconds_ago(11))) == REUSE


def test_a_process_that_froze_between_the_request_and_its_decision_ends_no_session(
    phone: Phone, superseded: str
) -> None:
    with mock.patch.object(refresh, "monotonic", side_effect=[100.0, 110.0]):
        assert error_of(Phone(pair={"refresh_token": superseded}).try_refresh()) == LATE
    assert phone.refresh().is_signed_in


@pytest.mark.parametrize(("seconds", "answer"), [(0.9, REUSE), (1.1, LATE)])
def test_without_a_grace_period_a_second_is_late(
    phone: Phone, superseded: str, settings: Any, seconds: float, answer: tuple[int, str]
) -> None:
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(0)}
    with mock.patch.object(refresh, "monotonic", side_effect=[100.0, 100.0 + seconds]):
        assert error_of(Phone(pair={"refresh_token": superseded}).try_refresh()) == answer


# --- How long it waited


@pytest.mark.usefixtures("proxy")
@pytest.mark.parametrize(
    "form", ["t={:.3f}", "{:.6f}", "t={:.0f}", "{0:.0f}"], ids=["nginx", "plain", "whole", "bare"]
)
def test_seconds_are_understood(form: str) -> None:
    request = RequestFactory().post("/", headers={HEADER: form.format(time.time() - 20)})
    assert timedelta(seconds=19) < time_waited(request) < timedelta(seconds=25)


@pytest.mark.usefixtures("proxy")
def test_milliseconds_are_understood() -> None:
    started = int((time.time() - 20) * 1000)
    request = RequestFactory().post("/", headers={HEADER: f"t={started}"})
    assert timedelta(seconds=19) < time_waited(request) < timedelta(seconds=25)


@contextmanager
def accepted_late(seconds: float) -> Iterator[socket.socket]:
    """Accept a connection so long after its last byte."""
    with (
        socket.create_server((HOST, 0)) as server,
        socket.create_connection(server.getsockname()) as client,
    ):
        client.sendall(b"GET / HTTP/1.1\r\n")
        time.sleep(seconds)
        connection, _ = server.accept()
        with connection:
            yield connection


def time_waited_at(connection: Any) -> timedelta:
    return time_waited(RequestFactory().get("/", **{"gunicorn.socket": connection}))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a byte arrived")
def test_the_kernel_tells_how_long_a_request_was_in_the_queue() -> None:
    with accepted_late(0.3) as connection:
        assert timedelta(seconds=0.25) < time_waited_at(connection) < timedelta(seconds=10)


@pytest.mark.parametrize("system", ["darwin", sys.platform])
def test_a_socket_that_cannot_tell_has_not_waited(system: str) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs, mock.patch.object(sys, "platform", system):
        assert time_waited_at(ours) == timedelta(0)


# --- A real server


def workers_of(pid: int) -> list[int]:
    return list(map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split()))


@pytest.mark.waits
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells when a byte arrived")
def test_a_frozen_node_that_goes_on_signs_no_phone_out(
    tmp_path: Path, alice: User, settings: Any
) -> None:
    grace_period = chosen(1, 10)
    settings.AUTHX = settings.AUTHX | {
        "REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=grace_period)
    }
    phone = Phone().sign_in()
    changes = {"REFRESH_TOKEN_GRACE_PERIOD": f"{grace_period}s", "WEB_CONCURRENCY": "1"}
    body = json.dumps({"grant_type": "refresh_token", "refresh_token": phone.refresh_token})
    request = (
        f"POST /users/token HTTP/1.1\r\nHost: {HOST}\r\nContent-Type: application/json\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n{body}"
    )
    with (
        web_server(tmp_path, **of_this_run() | changes) as server,
        ThreadPoolExecutor() as pool,
    ):
        assert until(lambda: bool(workers_of(server.pid)), seconds=20)
        (worker,) = workers_of(server.pid)
        os.kill(worker, signal.SIGSTOP)
        try:
            late = pool.submit(server.ask, request.encode())
            # The phone has given up waiting, and asks another node.
            time.sleep(0.2)
            phone.refresh().call()
            phone.refresh().call()
            time.sleep(grace_period + 0.2)
        finally:
            os.kill(worker, signal.SIGCONT)
        status, _ = late.result(20)
    assert status == "HTTP/1.1 503 Service Unavailable"
    assert DeviceSession.objects.get().revoked_at is None
    assert phone.refresh().is_signed_in
