"""A real worker and a real beat sweep within one period; a killed or second sweep harms nothing."""

import inspect
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from celery import Task
from django.conf import settings as django_settings
from django.db import connection
from django.utils import timezone
from pytest_django import Settings

from authx.models import DeviceSession
from authx.sessions.sweep import SweepReport, sweep
from backend.celery import app
from tasks import cleanup
from tasks.schedule import beat_schedule
from tests.conftest import Clock
from tests.phone import Phone
from tests.processes import die, exit_code_of
from tests.web_server import until

pytestmark = pytest.mark.waits

ROOT = Path(__file__).resolve().parent.parent
PERIOD = timedelta(seconds=2)
HOUR = 3600  # seconds
KILLED = -9


def own_tasks() -> dict[str, Task[Any, Any]]:
    app.loader.import_default_modules()
    return {name: task for name, task in app.tasks.items() if not name.startswith("celery.")}


def end_long_ago(phone: Phone) -> None:
    """Revoke the phone's session eight days ago."""
    long_ago = timezone.now() - timedelta(days=8)
    session = DeviceSession.objects.filter(pk=phone.session_id)
    session.update(revoked_at=long_ago, revoked_reason="signed_out")


@pytest.fixture
def processes(tmp_path: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start a worker and a beat of this very project on the test database and the run's Valkey."""
    url = urlsplit(os.environ["DATABASE_URL"])._replace(path=f"/{connection.settings_dict['NAME']}")
    # Rebuilt by hand: urlunsplit drops the "//" of an address without a host.
    database = f"{url.scheme}://{url.netloc}{url.path}?{url.query}"
    interval = str(int(PERIOD.total_seconds()))
    environment = os.environ | {"DATABASE_URL": database, "SWEEP_INTERVAL": interval}
    worker = ["worker", "--concurrency", "1", "--without-gossip", "--without-mingle"]
    beat = ["beat"]
    started = []
    with (tmp_path / "log").open("wb") as log:
        for command in (worker, beat):
            program = [sys.executable, "-m", "celery", "--app", "backend.celery", *command]
            options: dict[str, Any] = {"cwd": ROOT, "env": environment, "start_new_session": True}
            started.append(subprocess.Popen(program, stdout=log, stderr=log, **options))
    yield started
    for process in started:
        # With its children, whatever a failed test left of them.
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    sys.stdout.write((tmp_path / "log").read_text())


@pytest.mark.timeout(90)
@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_real_worker_and_a_real_beat_sweep_within_one_period(
    phone: Phone, tablet: Phone, processes: list[subprocess.Popen[bytes]]
) -> None:
    end_long_ago(tablet)
    assert until(lambda: DeviceSession.objects.count() == 1, seconds=30)
    # They run now: what is over from here on is gone a period later, with another one for the work.
    end_long_ago(tablet.sign_in())
    in_time = (2 * PERIOD).total_seconds()
    assert until(lambda: DeviceSession.objects.count() == 1, seconds=in_time)
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in
    for process in reversed(processes):
        process.terminate()
    assert [process.wait(timeout=15) for process in processes] == [0, 0]


def test_every_beat_entry_starts_a_task_that_exists() -> None:
    assert django_settings.CELERY_BEAT_SCHEDULE
    for entry in django_settings.CELERY_BEAT_SCHEDULE.values():
        assert entry["task"] in own_tasks()
        # A worker discards what has expired by its own clock, which may be wrong.
        assert entry["options"]["expires"] >= HOUR
        assert not entry.get("args")
        assert not entry.get("kwargs")
    assert app.conf.beat_schedule == django_settings.CELERY_BEAT_SCHEDULE


@pytest.mark.parametrize(("name", "hours"), [("sweep", 3), ("send-notifications", 5)])
def test_the_intervals_are_settings(name: str, hours: int) -> None:
    entry = beat_schedule(
        sweep_interval=timedelta(hours=3), notification_interval=timedelta(hours=5)
    )[name]
    assert entry["schedule"] == timedelta(hours=hours)


def test_the_tasks_are_these_and_take_no_arguments() -> None:
    assert set(own_tasks()) == {"tasks.alerts.send_notifications", "tasks.cleanup.sweep"}
    for task in own_tasks().values():
        assert not inspect.signature(task.run).parameters
        assert task.ignore_result


def test_only_json_is_read_from_the_broker() -> None:
    assert app.conf.accept_content == ["json"]
    assert app.conf.task_serializer == "json"
    assert app.conf.result_serializer == "json"


def test_the_task_sweeps(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    clock.forward(days=8)
    cleanup.sweep()
    assert not DeviceSession.objects.exists()


def sweep_killed_at_the_second_delete() -> None:
    deletes = []

    def count(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        deletes.append(sql.startswith("DELETE"))
        if sum(deletes) == 2:
            die()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        sweep()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_the_sweep_after_a_killed_one_goes_on_where_it_stopped(
    clock: Clock, phone: Phone, settings: Settings
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 2}
    for number in range(6):
        end_long_ago(Phone(device={"installation_id": f"old {number}"}).sign_in())
    assert exit_code_of(sweep_killed_at_the_second_delete) == KILLED
    assert DeviceSession.objects.count() == 1 + 4
    clock.forward(seconds=59)
    assert sweep() == SweepReport(skipped=True)
    clock.forward(seconds=1)
    assert sweep() == SweepReport(sessions=4)
    assert phone.is_signed_in


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_of_two_sweeps_at_once_one_steps_aside(phone: Phone) -> None:
    reports = []

    def sweep_beside() -> None:
        reports.append(sweep())
        connection.close()

    def interrupt(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if sql.startswith("DELETE"):
            beside = threading.Thread(target=sweep_beside)
            beside.start()
            beside.join(timeout=30)
        return execute(sql, params, many, context)

    end_long_ago(phone)
    with connection.execute_wrapper(interrupt):
        assert sweep() == SweepReport(sessions=1)
    # Once a table: sessions, notices, events.
    assert reports == [SweepReport(skipped=True)] * 3
    # The lease is given back: the next one need not wait for it to end.
    assert sweep() == SweepReport()


def test_a_sweep_that_fails_gives_its_lease_back(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("authx.sessions.sweep._delete_batch", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            sweep()
    end_long_ago(phone)
    assert sweep() == SweepReport(sessions=1)
