"""While a commit waits for its standby, no answer says that it is done: a failover may undo it."""

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psycopg
import pytest

from tests.outage import App, Database, ErrorResponse, Web

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.timeout(90)]


@pytest.fixture(scope="module")
def directory() -> Iterator[Path]:
    directory = Path(tempfile.mkdtemp(prefix="authx-standby-"))
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


@pytest.fixture
def app(web: Web) -> App:
    app = App(web, "phone")
    app.sign_in()
    app.use()
    return app


def set_standby(database: Database, name: str) -> None:
    with psycopg.connect(database.url, autocommit=True) as connection:
        connection.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
        connection.execute("SELECT pg_reload_conf()")


@contextmanager
def standby_lost(database: Database) -> Iterator[None]:
    """Let every commit wait for a standby that is not there."""
    set_standby(database, "absent")
    yield
    set_standby(database, "")


def refresh(app: App, key: str = "") -> ErrorResponse:
    fields = {"grant_type": "refresh_token", "refresh_token": app.pair["refresh_token"]}
    return app.ask("POST", "/users/token", **fields, **({"idempotency_key": key} if key else {}))


@pytest.mark.parametrize("key", ["", "the-key-of-this-refresh"])
def test_a_retry_hands_out_no_pair_that_a_failover_could_undo(
    database: Database, app: App, key: str
) -> None:
    with standby_lost(database):
        first, retry = refresh(app, key), refresh(app, key)
    assert first.is_away
    assert retry.is_away
    assert refresh(app, key).status == 200


@pytest.mark.parametrize("kind", ["refresh_token", "access_token"])
def test_a_repeated_revocation_is_not_confirmed_before_the_first_is_safe(
    database: Database, app: App, kind: str
) -> None:
    token = app.pair[kind]
    with standby_lost(database):
        answers = [app.ask("POST", "/users/revoke", token=token) for _ in range(2)]
    assert [answer.is_away for answer in answers] == [True, True]
    assert app.ask("POST", "/users/revoke", token=token).status == 200


def test_a_repeated_logout_of_other_devices_is_not_confirmed_before_the_first_is_safe(
    database: Database, web: Web, app: App
) -> None:
    other = App(web, "other")
    other.sign_in()
    with standby_lost(database):
        statuses = [log_out_others(app) for _ in range(2)]
    assert statuses == [503, 503]
    assert log_out_others(app) == 200


def log_out_others(app: App) -> int:
    return httpx.post(
        f"http://127.0.0.1:{app.web.port}/users/logout-all",
        json={"keep_current": True},
        headers={"Authorization": f"Bearer {app.pair['access_token']}"},
        timeout=30,
    ).status_code
