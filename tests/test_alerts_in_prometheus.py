"""A real Prometheus scrapes real processes: an alert fires and clears, and the queries work."""

import shutil
from collections.abc import Iterator
from datetime import timedelta
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from authx.models import DeviceSession
from tests import monitoring
from tests.phone import PASSWORD, Phone
from tests.ports import HOST, free_port
from tests.prometheus import CeleryProcess, Prometheus, prometheus
from tests.web_server import QUICK_HASHES, of_this_run, until, web_server

pytestmark = [
    pytest.mark.waits,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(
        shutil.which("prometheus") is None,
        reason="Prometheus is not installed: Debian has it in the package prometheus",
    ),
]
OVERDUE = "OldestRowOverdue"
# What fires all the time where no web server runs.
ALWAYS = {"NoWebServer"}
# The panel of the alerts that fire.
MAY_BE_EMPTY = {"Alerts that fire A"}


@pytest.fixture
def worker(tmp_path: Path, db: None) -> Iterator[CeleryProcess]:
    process = CeleryProcess(tmp_path, "worker", "--concurrency=1", "--without-mingle")
    yield process
    process.kill()


@pytest.fixture
def beat(tmp_path: Path, db: None) -> Iterator[CeleryProcess]:
    process = CeleryProcess(tmp_path, "beat", "--pidfile=")
    yield process
    process.kill()


@pytest.fixture
def server(tmp_path: Path, worker: CeleryProcess, beat: CeleryProcess) -> Iterator[Prometheus]:
    with prometheus(tmp_path, worker=worker.port, beat=beat.port) as server:
        assert until(lambda: server.sees(2), seconds=30)
        yield server


def end_long_ago(phone: Phone) -> None:
    """Revoke the phone's session eight days ago, one more than the retention."""
    session = DeviceSession.objects.filter(pk=phone.session_id)
    long_ago = timezone.now() - timedelta(days=8)
    session.update(revoked_at=long_ago, revoked_reason="signed_out")


def test_the_alert_of_the_oldest_row_fires_without_a_worker_and_clears_with_one(
    phone: Phone, tablet: Phone, worker: CeleryProcess, server: Prometheus
) -> None:
    # Beat started later than Prometheus, and was silent until then.
    assert until(lambda: server.firing() == ALWAYS, seconds=20)
    worker.stop()
    end_long_ago(tablet)
    assert until(lambda: {OVERDUE, "TargetDown"} <= server.firing(), seconds=20)
    worker.start()
    assert until(lambda: server.firing() == ALWAYS, seconds=30)
    assert not DeviceSession.objects.filter(pk=tablet.session_id).exists()
    assert phone.is_signed_in


def use(url: str) -> None:
    """Do over HTTP what the panels of the dashboard show."""
    with httpx.Client(base_url=url) as client:
        device = {"installation_id": "a", "name": "A"}
        login = {"username": "alice", "password": PASSWORD, "device": device}
        pair = client.post("/users/login", json=login).json()
        form = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
        pair = client.post("/users/token", data=form).json()
        client.post("/users/token", data=form | {"refresh_token": "x"})
        header = {"Authorization": f"Bearer {pair['access_token']}"}
        client.get("/users/me", headers={"Authorization": "Bearer x"})
        client.post("/users/logout", headers=header)
        wrong = login | {"password": "wrong"}
        statuses = {client.post("/users/login", json=wrong).status_code for _ in range(6)}
        assert HTTPStatus.TOO_MANY_REQUESTS in statuses


def test_every_query_of_alerts_and_dashboard_works_and_finds_something(
    tmp_path: Path, alice: User, worker: CeleryProcess, beat: CeleryProcess
) -> None:
    port = free_port()
    changes = of_this_run() | QUICK_HASHES | {"OPERATOR_PORT": str(port)}
    with (
        web_server(tmp_path, **changes) as web,
        prometheus(tmp_path, web=port, worker=worker.port, beat=beat.port) as server,
    ):
        assert until(lambda: server.sees(3), seconds=30)
        use(f"http://{HOST}:{web.port}")
        queries = {name: query for name, (query, _) in monitoring.dashboard_queries().items()}
        assert until(
            lambda: (
                {name for name, query in queries.items() if not server.query(query)} == MAY_BE_EMPTY
            ),
            seconds=15,
        ), {name for name, query in queries.items() if not server.query(query)}
        for query, _ in monitoring.alert_queries().values():
            assert server.query(query) == []
