"""Security events are swept after their retention, in bounded batches."""

from collections.abc import Callable

import pytest
from pytest_django import Settings

from authx.models import Notification, SecurityEvent
from authx.sessions.sweep import count_sweepable, sweep
from tests.conftest import Clock, Statements
from tests.phone import Phone

pytestmark = [pytest.mark.django_db, pytest.mark.portable]


def test_an_event_is_kept_for_its_retention(clock: Clock, phone: Phone) -> None:
    clock.forward(days=180, microseconds=-1)
    assert sweep().events == 0
    clock.forward(microseconds=1)
    assert count_sweepable().events == 1
    assert sweep().events == 1
    assert not SecurityEvent.objects.exists()


def test_events_go_in_batches_of_one_statement(
    clock: Clock,
    phone: Phone,
    settings: Settings,
    statements: Callable[[], Statements],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 2}
    # However slow this machine is, the next batch may be larger.
    monkeypatch.setattr("authx.sessions.sweep.BATCH_SECONDS", 60)
    for _ in range(4):
        phone.try_sign_in("wrong password")
    clock.forward(days=180)
    with statements() as sql:
        assert sweep().events == 5
    # Two, then the rest in a batch that grew.
    assert len([one for one in sql.sql if "authx_securityevent" in one]) == 2


def test_an_unsent_notification_is_deleted_with_its_event_and_logged(
    clock: Clock, phone: Phone, caplog: pytest.LogCaptureFixture
) -> None:
    Phone(device={"installation_id": "another"}).sign_in()
    assert Notification.objects.count() == 1
    clock.forward(days=180)
    sweep()
    assert not Notification.objects.exists()
    lost = [record for record in caplog.records if "notification_dropped" in record.getMessage()]
    assert [(record.levelname, vars(record)["reason"]) for record in lost] == [
        ("ERROR", "1 never sent")
    ]
