"""The service runs under `opentelemetry-instrument`, and its traces contain no secret."""

import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx
import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.db import transaction

from tasks.alerts import send_notifications
from tests.phone import PASSWORD
from tests.ports import HOST, free_port, listens
from tests.web_server import PATIENCE, ROOT, of_this_run, until

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

# As documented: the variable, web server and worker.
PAGE = (ROOT / "docs" / "operations.md").read_text()
EXPORT, WEB, WORKER = re.findall(r"^(?:export|opentelemetry-\w+) .*$", PAGE, re.MULTILINE)
SETTINGS = dict([EXPORT.removeprefix("export ").split("=")])
CONSOLE = {
    "OTEL_TRACES_EXPORTER": "console",
    "OTEL_METRICS_EXPORTER": "none",
    "OTEL_LOGS_EXPORTER": "none",
    "OTEL_BSP_SCHEDULE_DELAY": "100",  # milliseconds
    # Exporters of several processes would write into each other's lines.
    "WEB_CONCURRENCY": "1",
}
SPAN = re.compile(r"^{\n.*?^}$", re.MULTILINE | re.DOTALL)
USERNAME = "a.user.of.this.test"
NEW_PASSWORD = "another horse entirely, honest"
KEY = "an-idempotency-key-of-the-app"


class Process:
    """A process under OpenTelemetry, and what it exports."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.output, self.log = directory / "spans", directory / "log"
        self.http = httpx.Client(base_url=f"http://{HOST}:{self.port}", timeout=PATIENCE)

    def spans(self) -> list[dict[str, Any]]:
        return [json.loads(span) for span in SPAN.findall(self.output.read_text())]

    def attributes_of(self, target: str) -> dict[str, Any]:
        """Return those of the span of a request or a task, once it is exported."""

        def found() -> list[dict[str, Any]]:
            each = [span["attributes"] | {"name": span["name"]} for span in self.spans()]
            return [one for one in each if target in {one.get("http.target"), one["name"]}]

        assert until(lambda: bool(found()), seconds=PATIENCE), self.log.read_text()
        return found()[-1]

    def post(self, path: str, **fields: str) -> httpx.Response:
        return self.http.post(path, data=fields, headers={"Idempotency-Key": KEY})


@contextmanager
def running(command: str, directory: Path, **changes: str) -> Iterator[Process]:
    process = Process(directory)
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    variables = of_this_run() | SETTINGS | CONSOLE | {"PATH": path, "PORT": str(process.port)}
    with (
        process.output.open("w") as output,
        process.log.open("w") as log,
        subprocess.Popen(
            shlex.split(command),
            cwd=ROOT,
            env={name: value for name, value in (variables | changes).items() if value},
            stdout=output,
            stderr=log,
        ) as started,
    ):
        try:
            with process.http:
                yield process
        finally:
            started.terminate()


@pytest.fixture
def web(tmp_path: Path) -> Iterator[Process]:
    # The server does not know the quick hasher of the tests.
    User.objects.create(username=USERNAME, password=make_password(PASSWORD, hasher="pbkdf2_sha256"))
    with running(WEB, tmp_path) as process:
        assert until(lambda: listens(process.port), seconds=PATIENCE), process.log.read_text()
        yield process


def test_a_trace_names_events_and_holds_no_secret(web: Process) -> None:
    login = {"username": USERNAME, "password": PASSWORD}
    first = web.post("/users/login", **login).json()
    session = {"authx.session_id": first["device"]["id"]}
    signed_in = web.attributes_of("/users/login")
    second = web.post(
        "/users/token", grant_type="refresh_token", refresh_token=first["refresh_token"]
    ).json()
    refreshed = web.attributes_of("/users/token")
    bearer = {"Authorization": f"Bearer {second['access_token']}"}
    change = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    third = web.http.post("/users/password", json=change, headers=bearer).json()
    assert web.http.get("/users/me", headers=bearer).status_code == HTTPStatus.UNAUTHORIZED
    refused = web.attributes_of("/users/me")
    assert signed_in.items() >= {"authx.event.authn_login_success": "success", **session}.items()
    assert refreshed.items() >= {"authx.event.session_renewed": "success", **session}.items()
    assert refused["authx.event.authn_token_refused"] == "failure"
    # The connections with a timeout are traced as well.
    assert web.attributes_of("UPDATE")["db.system"] == "postgresql"
    pairs = [
        pair[name] for pair in (first, second, third) for name in ("access_token", "refresh_token")
    ]
    secrets = {*pairs, PASSWORD, NEW_PASSWORD, KEY, USERNAME, User.objects.get().password}
    assert [one for one in secrets if one in web.output.read_text()] == []


def test_a_database_timeout_applies_under_it(web: Process) -> None:
    with transaction.atomic():
        User.objects.select_for_update(no_key=True).get()
        answer = web.post("/users/login", username=USERNAME, password=PASSWORD)
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE


def test_a_worker_runs_under_it(tmp_path: Path) -> None:
    with running(WORKER, tmp_path) as worker:
        send_notifications.delay()
        span = worker.attributes_of("run/tasks.alerts.send_notifications")
    assert span["celery.state"] == "SUCCESS"


@pytest.mark.parametrize("command", [WEB, WORKER])
def test_without_its_variable_a_process_says_so_and_does_not_start(
    tmp_path: Path, command: str
) -> None:
    with running(command, tmp_path, DJANGO_SETTINGS_MODULE="") as process:
        assert until(
            lambda: "Set DJANGO_SETTINGS_MODULE" in process.log.read_text(), seconds=PATIENCE
        ), process.log.read_text()
