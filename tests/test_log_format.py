"""Log records are one line each, whatever strangers send, and hold only what was meant to leave."""

import json
import logging
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import pytest
from celery import current_app
from django.conf import settings as django_settings
from django.utils.module_loading import import_string

from authx.audit.logs import ACCESS_DENIED, log_event
from authx.context import RequestContext, use_context
from backend.celery import configure_logging
from backend.logs import ContextFilter, JSONFormatter, LineFormatter
from tests.phone import PASSWORD, Phone

ROOT = Path(__file__).resolve().parent.parent
SOURCE = RequestContext("192.0.2.7", "App/1", "number-1", "GET", "/users/me")
EVIL = 'a\r\nCRITICAL authx admin ok\x00\x1b[31m\u2028\u202edne\x85{"level":"X"}'

Formatted = Callable[..., str]


@pytest.fixture
def as_json() -> Formatted:
    return lambda *args, **named: formatted(JSONFormatter(), *args, **named)


@pytest.fixture
def as_line() -> Formatted:
    line = LineFormatter("{levelname} {name} {message}", style="{")
    return lambda *args, **named: formatted(line, *args, **named)


def formatted(formatter: logging.Formatter, message: str, *args: Any, **extra: Any) -> str:
    """Return a record as a handler of the project would write it."""
    error = extra.pop("error", None)
    exc_info = (type(error), error, None) if error else None
    logger = logging.getLogger("a.logger")
    made = logger.makeRecord(
        "a.logger", logging.INFO, "file.py", 1, message, args, exc_info, None, extra
    )
    assert ContextFilter().filter(made)
    return formatter.format(made)


def test_a_record_is_json_with_its_time_in_utc(as_json: Formatted, clock: Any) -> None:
    with use_context(SOURCE):
        record = json.loads(as_json("hello %s", "world"))
    pid = record.pop("pid")
    assert pid == os.getpid()
    assert record == {
        "timestamp": "2026-01-05T12:00:00+00:00",
        "level": "INFO",
        "logger": "a.logger",
        "message": "hello world",
        "ip": "192.0.2.7",
        "user_agent": "App/1",
        "request_id": "number-1",
        "method": "GET",
        "path": "/users/me",
    }


def test_a_line_ends_with_its_request_id_if_there_is_one(as_line: Formatted) -> None:
    with use_context(RequestContext(request_id="number-1")):
        assert as_line("hello") == "INFO a.logger hello [number-1]"
    assert as_line("hello") == "INFO a.logger hello"


def test_a_record_of_a_task_names_the_task(as_json: Formatted) -> None:
    current_app.loader.import_default_modules()
    task = current_app.tasks["tasks.cleanup.sweep"]
    logged = []
    with mock.patch(
        "tasks.cleanup.sweep_expired", side_effect=lambda: logged.append(as_json("swept"))
    ):
        task.apply(task_id="an id")
    record = json.loads(logged[0])
    assert (record["task"], record["task_id"]) == ("tasks.cleanup.sweep", "an id")


@pytest.mark.parametrize("hostile", [EVIL, "a\nb", "\u202e", "{}", "%s %d"])
def test_a_hostile_value_stays_inside_its_record(
    as_json: Formatted, as_line: Formatted, hostile: str
) -> None:
    text = as_json("name %s", hostile, reason=hostile)
    assert text.isascii()
    assert text.isprintable()
    assert json.loads(text)["message"] == f"name {hostile}"
    assert json.loads(text)["reason"] == hostile
    assert as_line("name %s", hostile).isprintable()


def test_a_hostile_error_stays_inside_its_record(as_json: Formatted, as_line: Formatted) -> None:
    error = ValueError(EVIL)
    assert as_json("failed", error=error).isprintable()
    first, *rest = as_line("failed", error=error).split("\n")
    assert first == "INFO a.logger failed"
    assert rest
    assert {line[:4] for line in rest} == {"    "}


def test_only_known_fields_leave(as_json: Formatted) -> None:
    text = as_json("Bad Request: %s", "/x", request="GET /x?password=secret", data=["secret"])
    assert "secret" not in text


@pytest.mark.django_db
@pytest.mark.parametrize("user_agent", ["a\x0bINFO forged", "App\u202e/1"])
def test_hostile_headers_and_addresses_stay_inside_the_records_of_a_request(
    caplog: pytest.LogCaptureFixture, committed: Any, user_agent: str
) -> None:
    phone = Phone(username="a\nCRITICAL authx ok")
    headers = {"user-agent": user_agent}
    with committed():
        phone.client.post("/users/login%0aINFO%20forged?password=secret", headers=headers)
        phone.try_sign_in()
    lines = [JSONFormatter().format(record) for record in caplog.records]
    assert len(lines) == 3
    assert all(line.isprintable() and json.loads(line) for line in lines)
    assert [line for line in lines if "authx ok" in line] == []
    text = [LineFormatter().format(record) for record in caplog.records]
    assert [line for line in text if not line.isprintable()] == []


def test_what_django_says_of_a_request_carries_its_number(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answer = Phone().client.get("/nowhere", headers={"user-agent": "App/1"})
    (record,) = caplog.records
    ContextFilter().filter(record)
    told = json.loads(JSONFormatter().format(record))
    assert (told["logger"], told["path"]) == ("django.request", "/nowhere")
    assert told["request_id"] == answer.headers["X-Request-ID"]
    assert (told["ip"], told["user_agent"]) == ("127.0.0.1", "App/1")


@pytest.mark.django_db
def test_django_logs_neither_query_strings_nor_bodies(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Phone().client
    body = {"username": PASSWORD, "password": PASSWORD, "unknown": PASSWORD}
    for address in (f"/users/login?p={PASSWORD}", f"/nowhere?p={PASSWORD}", f"/admin/?{PASSWORD}"):
        client.post(address, body, content_type="application/json")
        client.get(address, headers={"host": "evil.example"})
    with mock.patch("authx.rest.views.tokens.sign_in", side_effect=RuntimeError("broken")):
        assert client.post("/users/login", body, content_type="application/json").status_code == 500
    text = "\n".join(JSONFormatter().format(record) for record in caplog.records)
    assert "evil.example" in text
    assert "broken" in text
    assert PASSWORD not in text


@pytest.mark.django_db
def test_a_refusal_that_a_stranger_causes_is_one_line_and_no_error(
    caplog: pytest.LogCaptureFixture,
) -> None:
    client = Phone().client
    client.get("/users/me", headers={"host": "evil.example"})
    client.post("/admin/login/", {str(number): "" for number in range(1001)})
    logging_of_this: dict[str, Any] = django_settings.LOGGING
    names = logging_of_this["handlers"]["console"]["filters"]
    configured = [logging_of_this["filters"][name]["()"] for name in names]
    refusals = [record for record in caplog.records if record.name.startswith("django.security.")]
    assert len({record.name for record in refusals}) == 2
    for record in refusals:
        assert all(import_string(path)().filter(record) for path in configured)
        told = json.loads(JSONFormatter().format(record))
        assert (told["level"], told.get("exc_info")) == ("WARNING", None)


def test_a_denial_outside_of_a_request_has_an_empty_context(
    caplog: pytest.LogCaptureFixture,
) -> None:
    log_event(ACCESS_DENIED, user_id=7)
    record = json.loads(JSONFormatter().format(caplog.records[0]))
    assert (record["user_id"], record["session_id"], record["ip"]) == ("7", None, None)


def first_words(logger: str, local_dir: Path, **environment: str) -> str:
    """Return what a process logs, whose environment is just this."""
    code = f"import django, logging; django.setup(); logging.getLogger('{logger}').error('hello')"
    base = {
        "PATH": os.environ["PATH"],
        "LOCAL_DIR": str(local_dir),
        "DJANGO_SETTINGS_MODULE": "backend.settings",
    }
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, env=base | environment, cwd=ROOT, capture_output=True, text=True, check=True
    )
    return done.stderr


@pytest.mark.parametrize("logger", ["authx.security", "django.request", "gunicorn.error"])
def test_production_logs_json_once_whoever_logs(logger: str, tmp_path: Path) -> None:
    served = {"DATABASE_URL": "postgres://db.invalid/app", "SECRET_KEY": "k" * 60}
    served |= {"NUM_PROXIES": "1"}
    (line,) = first_words(logger, tmp_path, **served, DEBUG="true").splitlines()
    assert (json.loads(line)["logger"], json.loads(line)["message"]) == (logger, "hello")


def test_a_terminal_gets_lines_and_a_variable_decides(tmp_path: Path) -> None:
    assert first_words("a.b", tmp_path) == "ERROR a.b hello\n"
    assert json.loads(first_words("a.b", tmp_path, LOG_FORMAT="json"))["message"] == "hello"


def test_worker_and_beat_log_as_the_web_server_does() -> None:
    with mock.patch("backend.celery.dictConfig") as configure:
        configure_logging()
    configure.assert_called_once_with(django_settings.LOGGING)
