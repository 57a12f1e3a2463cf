"""PostgreSQL makes one of two transactions step back: it is done again, and nobody notices."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http import HTTPStatus
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.db import connection, connections

from authx.models import DeviceSession
from tests.phone import Phone

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

# What code of another app may do, and ours never does: user after session.
LOCK_USER = "SELECT 1 FROM auth_user FOR UPDATE"
TOUCH_SESSION = "UPDATE authx_devicesession SET name = 'touched'"
ANY_WAIT = "SELECT EXISTS (SELECT 1 FROM pg_locks WHERE NOT granted)"


@pytest.fixture
def rival() -> Iterator[psycopg.Connection[Any]]:
    """Connect beside the application; never the one that PostgreSQL chooses to step back."""
    with psycopg.connect(**connection.get_connection_params() | {"context": None}) as beside:
        beside.execute("SET deadlock_timeout = '1min'")
        beside.commit()
        yield beside


def until_somebody_waits(rival: psycopg.Connection[Any]) -> None:
    deadline = time.monotonic() + 10
    while rival.execute(ANY_WAIT).fetchone() == (False,):
        assert time.monotonic() < deadline


def in_another_thread(request: Callable[[], Any]) -> Any:
    """Return what a request was answered, its connection closed behind it."""
    try:
        return request()
    finally:
        connection.close()


def sign_out_everywhere(phone: Phone) -> Any:
    return phone.send("POST", "logout-all", {})


def test_a_sign_out_everywhere_that_a_deadlock_threw_out_is_done_again(
    phone: Phone, rival: psycopg.Connection[Any]
) -> None:
    with ThreadPoolExecutor() as pool:
        rival.execute(TOUCH_SESSION)
        answer = pool.submit(in_another_thread, partial(sign_out_everywhere, phone))
        until_somebody_waits(rival)
        # Each has what the other waits for now, until the sign-out steps back.
        rival.execute(LOCK_USER)
        rival.commit()
    assert answer.result().json() == {"revoked": 1}
    session = DeviceSession.objects.get()
    assert (session.revoked_reason, session.name) == ("signed_out_everywhere", "touched")


@pytest.fixture
def _strictly_isolated() -> Iterator[None]:
    """Let new connections of the application be as strict as PostgreSQL can."""
    options = connections.settings["default"]["OPTIONS"]
    with mock.patch.dict(options, isolation_level=psycopg.IsolationLevel.SERIALIZABLE):
        yield


REQUESTS: dict[str, Callable[[Phone], Any]] = {
    "refresh": lambda phone: phone.try_refresh(),
    "use": lambda phone: phone.call(),
    "logout": lambda phone: phone.send("POST", "logout"),
    "logout-all": sign_out_everywhere,
    "end a device": lambda phone: phone.send("DELETE", f"devices/{phone.session_id}"),
    "revoke": lambda phone: phone.send("POST", "revoke", {"token": phone.refresh_token}),
}


@pytest.mark.usefixtures("_strictly_isolated")
@pytest.mark.parametrize("request_of", REQUESTS)
def test_a_request_that_cannot_be_serialized_is_done_again(
    phone: Phone, rival: psycopg.Connection[Any], request_of: str
) -> None:
    # Its first use confirms, and so writes.
    phone.refresh()
    with ThreadPoolExecutor() as pool:
        rival.execute(TOUCH_SESSION)
        answer = pool.submit(in_another_thread, partial(REQUESTS[request_of], phone))
        until_somebody_waits(rival)
        rival.commit()
    assert answer.result().status_code in {HTTPStatus.OK, HTTPStatus.NO_CONTENT}
    session = DeviceSession.objects.get()
    assert session.name == "touched"
    assert (session.generation == 2) == (request_of == "refresh")
    assert (session.revoked_at is None) == (request_of in {"refresh", "use"})
