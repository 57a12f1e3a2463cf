"""PostgreSQL behind psycopg's pool, and behind PgBouncer with and without prepared statements."""

import re
import shutil
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection

from backend.postgresql.base import DatabaseWrapper, TimeoutConnection
from tests.cluster.programs import AS_DATABASE_USER, is_root, owned_directory
from tests.phone import PASSWORD
from tests.ports import HOST, free_port, listens
from tests.web_server import QUICK_HASHES, of_this_run, until, web_server

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

PGBOUNCER: Final = shutil.which("pgbouncer") or shutil.which("pgbouncer", path="/usr/sbin")
# The first that keeps prepared statements in transaction mode.
PREPARING: Final = (1, 21)


def version() -> tuple[int, ...]:
    if PGBOUNCER is None:
        return (0,)
    text = subprocess.check_output([PGBOUNCER, "--version"], text=True)
    found = re.search(r"PgBouncer (\d+)\.(\d+)", text)
    assert found is not None
    return int(found[1]), int(found[2])


needs_pgbouncer = pytest.mark.skipif(PGBOUNCER is None, reason="apt-get install pgbouncer")


@pytest.fixture
def pgbouncer(tmp_path: Path) -> Iterator[str]:
    """Run PgBouncer in transaction mode before the database of this test; yields its URL."""
    port, options = free_port(), connection.get_connection_params()
    home = owned_directory(tmp_path / "pgbouncer")
    where = {"host": options["host"], "dbname": options["dbname"], "user": options["user"]}
    if "port" in options:
        where["port"] = options["port"]
    lines = {
        "listen_addr": HOST,
        "listen_port": port,
        "unix_socket_dir": "",
        "auth_type": "any",
        "pool_mode": "transaction",
        # Fewer than the threads of the web server, so that these share them.
        "default_pool_size": 2,
        "max_prepared_statements": 100,
    }
    if version() < PREPARING:
        del lines["max_prepared_statements"]
    config = home / "pgbouncer.ini"
    database = " ".join(f"{name}={value}" for name, value in where.items())
    settings = "\n".join(f"{name} = {value}" for name, value in lines.items())
    config.write_text(f"[databases]\napp = {database}\n[pgbouncer]\n{settings}\n")
    assert PGBOUNCER is not None
    prefix = AS_DATABASE_USER if is_root() else ()
    with subprocess.Popen(
        [*prefix, PGBOUNCER, "--quiet", str(config)], stderr=subprocess.DEVNULL
    ) as process:
        try:
            assert until(lambda: listens(port), seconds=20)
            yield f"postgres://app@{HOST}:{port}/app"
        finally:
            process.terminate()


def live_through(directory: Path, database_url: str) -> None:
    """Sign in, use, refresh and sign out through gunicorn, several times, with its threads."""
    own = {"DATABASE_URL": database_url, "WEB_CONCURRENCY": "1"}
    changes = of_this_run() | QUICK_HASHES | own
    with (
        web_server(directory, **changes) as server,
        httpx.Client(base_url=f"http://{HOST}:{server.port}", timeout=20) as http,
    ):
        login = {"username": "alice", "password": PASSWORD}
        pair = http.post("/users/login", json=login).json()
        for _ in range(8):
            grant = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
            answer = http.post("/users/token", data=grant)
            assert answer.status_code == 200, answer.text + server.log.read_text()
            pair = answer.json()
            headers = {"authorization": f"Bearer {pair['access_token']}"}
            assert http.get("/users/me", headers=headers).json()["username"] == "alice"
        assert http.get("/users/devices", headers=headers).json()[0]["current"]
        assert http.post("/users/logout-all", json={}, headers=headers).json() == {"revoked": 1}
        assert http.get("/users/me", headers=headers).status_code == 401


def test_the_pool_of_psycopg_serves(alice: User, tmp_path: Path) -> None:
    live_through(tmp_path, f"{of_this_run()['DATABASE_URL']}&pool=true")


@pytest.fixture
def pooled() -> Iterator[DatabaseWrapper]:
    options = connection.settings_dict["OPTIONS"] | {"pool": {"min_size": 1, "max_size": 1}}
    changes = {"OPTIONS": options, "CONN_MAX_AGE": 0}
    wrapper: Any = DatabaseWrapper(connection.settings_dict | changes, alias="pooled")
    yield wrapper
    wrapper.close()
    wrapper.close_pool()


def test_a_connection_of_the_pool_has_the_time_limit(
    pooled: DatabaseWrapper, settings: Any
) -> None:
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")
    assert isinstance(pooled.connection, TimeoutConnection)
    settings.DATABASE_TIMEOUT = timedelta(seconds=0.2)
    with pytest.raises(OperationalError), pooled.cursor() as cursor:
        cursor.execute("SELECT pg_sleep(20)")
    pooled.close()
    # The broken one is replaced.
    with pooled.cursor() as cursor:
        cursor.execute("SELECT 1")


def test_a_pool_of_a_project_may_be_a_mere_yes() -> None:
    options = connection.settings_dict["OPTIONS"] | {"pool": True}
    wrapper: Any = DatabaseWrapper(connection.settings_dict | {"OPTIONS": options}, alias="pooled")
    assert wrapper.settings_dict["OPTIONS"]["pool"]["connection_class"] is TimeoutConnection


@needs_pgbouncer
def test_pgbouncer_serves_without_prepared_statements(
    alice: User, pgbouncer: str, tmp_path: Path
) -> None:
    live_through(tmp_path, pgbouncer)


@needs_pgbouncer
def test_the_pool_serves_before_pgbouncer(alice: User, pgbouncer: str, tmp_path: Path) -> None:
    live_through(tmp_path, f"{pgbouncer}?pool=true")


@pytest.mark.skipif(version() < PREPARING, reason="needs PgBouncer 1.21")
def test_pgbouncer_serves_prepared_statements(alice: User, pgbouncer: str, tmp_path: Path) -> None:
    live_through(tmp_path, f"{pgbouncer}?prepare_threshold=0")
