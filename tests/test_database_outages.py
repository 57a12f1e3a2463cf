"""PostgreSQL goes away and comes back under a real web server: told as such, nobody signed out."""

import shutil
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from django.db import connection

from backend.postgresql import base
from tests.effort import chosen
from tests.outage import PATIENCE, App, Database, ErrorResponse, Web, busy
from tests.web_server import until

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.timeout(90)]

PHONES = chosen(2, 4)
# An answer waited for, a second to cancel it, three to connect anew; the rest is the machine's,
# which has other tests to run.
BOUND = PATIENCE + base.CANCEL_TIMEOUT + 3 + 2


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="authx-outage-"))
    yield directory
    shutil.rmtree(directory)


@pytest.fixture(scope="module")
def database(directory: Path) -> Iterator[Database]:
    database = Database(directory / "pg")
    database.start()
    yield database
    database.server.cleanup()


@pytest.fixture(scope="module")
def web(database: Database, directory: Path) -> Iterator[Web]:
    web = Web(database, directory)
    yield web
    web.stop()


@contextmanager
def stopped(database: Database, how: signal.Signals) -> Iterator[None]:
    database.stop(how)
    yield
    time.sleep(1)
    database.start()


def stopped_fast(database: Database) -> AbstractContextManager[None]:
    return stopped(database, signal.SIGINT)


def crashed(database: Database) -> AbstractContextManager[None]:
    return stopped(database, signal.SIGQUIT)


@contextmanager
def frozen(database: Database) -> Iterator[None]:
    database.freeze()
    yield
    # A request gives up on its answer, then on a new connection (3 s); with a margin.
    time.sleep(PATIENCE + 3 + 1)
    database.thaw()


def crowded(database: Database) -> AbstractContextManager[None]:
    return database.crowded()


Outage = Callable[[Database], AbstractContextManager[None]]


def answers_through(
    outage: Outage, web: Web, database: Database, apps: list[App]
) -> list[ErrorResponse]:
    """Return what was answered before, during and after; `apps` are signed in by then."""
    newcomer = App(web, "newcomer")
    for app in apps:
        app.sign_in()
    with busy(apps, newcomer):
        time.sleep(0.5)
        with outage(database):
            time.sleep(0.1)
        back_at = time.monotonic()
        time.sleep(1.5)
    answers = [answer for app in [*apps, newcomer] for answer in app.answers]
    # From then on at once, by the processes that saw it go.
    assert {answer.status for answer in answers if answer.asked_at > back_at} == {200}
    return answers


@pytest.mark.parametrize("outage", [stopped_fast, crashed, frozen, crowded])
def test_an_outage_is_answered_in_bounded_time_and_ends_no_session(
    web: Web, database: Database, outage: Outage
) -> None:
    apps = [App(web, f"phone-{number}") for number in range(PHONES)]
    pids = web.pids()
    answers = answers_through(outage, web, database, apps)
    refused = [answer for answer in answers if answer.status != 200]
    assert refused
    assert all(answer.is_away for answer in refused)
    assert {answer.retry_after for answer in refused} == {"5"}
    assert max(answer.took for answer in answers) < BOUND
    assert web.pids() == pids
    for app in apps:
        app.refresh()
        app.use()
    assert [answer.status for app in apps for answer in app.answers[-2:]] == [200] * 2 * PHONES


# Within a transaction, PostgreSQL would show the same picture of its activity again and again.
@pytest.mark.django_db(transaction=True)
def test_a_statement_that_timed_out_is_cancelled_in_the_server_too(settings: Any) -> None:
    settings.DATABASE_TIMEOUT = timedelta(milliseconds=200)
    parameters = connection.get_connection_params() | {"context": None}
    impatient = base.TimeoutConnection.connect(**parameters)
    with pytest.raises(psycopg.OperationalError):
        impatient.execute("SELECT pg_sleep(60)")
    assert impatient.closed
    assert until(lambda: not is_running("SELECT pg_sleep(60)"), seconds=10)


def is_running(sql: str) -> bool:
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT 1 FROM pg_stat_activity WHERE query = %s AND state = 'active'", [sql]
        )
        return cursor.fetchone() is not None
