"""PostgreSQL makes one of two transactions step back: it is done again, and nobody notices."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from django.db import connection

from authx.models import DeviceSession
from tests.phone import Phone

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

# What code of another app may do, and ours never does: a lock that no insert of a token passes.
LOCK_PERSON = "SELECT 1 FROM auth_user FOR UPDATE"
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


def test_a_refresh_that_a_deadlock_threw_out_is_done_again(
    phone: Phone, rival: psycopg.Connection[Any]
) -> None:
    with ThreadPoolExecutor() as pool:
        rival.execute(LOCK_PERSON)
        refreshed = pool.submit(in_another_thread, phone.refresh)
        until_somebody_waits(rival)
        # Each has what the other waits for now, until the refresh steps back.
        rival.execute(TOUCH_SESSION)
        rival.commit()
    assert refreshed.result().is_signed_in
    session = DeviceSession.objects.get()
    assert (session.generation, session.name) == (1, "touched")


@pytest.fixture
def _strictly_isolated() -> Iterator[None]:
    with connection.cursor() as cursor:
        cursor.execute("SET default_transaction_isolation = 'serializable'")
    yield
    connection.close()


@pytest.mark.usefixtures("_strictly_isolated")
def test_a_refresh_that_cannot_be_serialized_is_done_again(
    phone: Phone, rival: psycopg.Connection[Any]
) -> None:
    updates: list[str] = []

    def interrupt(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if sql.startswith("UPDATE") and not updates:
            rival.execute(TOUCH_SESSION)
            rival.commit()
        updates.extend([sql] * sql.startswith("UPDATE"))
        return execute(sql, params, many, context)

    with connection.execute_wrapper(interrupt):
        phone.refresh()
    assert len(updates) == 2
    assert DeviceSession.objects.get().generation == 1
    assert phone.is_signed_in
