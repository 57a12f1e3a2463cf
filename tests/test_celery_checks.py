"""A schedule that sweeps nothing and a broker that runs code are refused, each under an id."""

from pathlib import Path
from typing import Any

import pytest
from celery import Celery

from tasks import checks
from tasks.checks import check_broker_link, check_celery
from tests.source_code import check_ids_in

SWEEP = {"sweep": {"task": "tasks.cleanup.sweep", "schedule": 60}}
MAIL = {"mail": {"task": "tasks.alerts.send_notifications", "schedule": 60}}
CASES = [
    ("tasks.E001", "CELERY_BEAT_SCHEDULE", MAIL),
    ("tasks.E001", "CELERY_BEAT_SCHEDULE", MAIL | {"a": {"task": "celery.backend_cleanup"}}),
    ("tasks.E002", "CELERY_BEAT_SCHEDULE", SWEEP | MAIL | {"b": {"task": "tasks.cleanup.swep"}}),
    ("tasks.E004", "CELERY_BEAT_SCHEDULE", SWEEP),
    ("tasks.E003", "CELERY_ACCEPT_CONTENT", ["json", "pickle"]),
    ("tasks.W001", "CELERY_BROKER_URL", "redis://:secret@redis.example.com/0"),
    ("tasks.W001", "CELERY_BROKER_URL", "amqp://10.0.0.7"),
]


def ids() -> list[str | None]:
    return [message.id for message in [*check_celery(), *check_broker_link()]]


def test_the_settings_of_this_project_are_clean() -> None:
    assert ids() == []


@pytest.mark.parametrize(("expected", "name", "value"), CASES)
def test_a_setting_of_celery_is_refused(
    settings: Any, expected: str, name: str, value: Any
) -> None:
    setattr(settings, name, value)
    assert ids() == [expected]


@pytest.mark.parametrize("url", ["", "redis://[::1]:6379", "rediss://redis.example.com", "sqs://"])
def test_a_broker_behind_tls_or_on_loopback_is_clean(settings: Any, url: str) -> None:
    settings.CELERY_BROKER_URL = url
    assert ids() == []


def test_what_celery_itself_takes_for_granted_is_clean(settings: Any) -> None:
    del settings.CELERY_ACCEPT_CONTENT
    del settings.CELERY_BROKER_URL
    assert ids() == []


def test_what_the_application_is_told_elsewhere_than_in_the_settings_of_django_is_seen(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    application = Celery(set_as_current=False, broker="amqp://10.0.0.7")
    application.conf.accept_content = ["json", "pickle"]
    monkeypatch.setattr(checks, "current_app", application)
    assert set(ids()) == {"tasks.E001", "tasks.E003", "tasks.E004", "tasks.W001"}


def test_no_message_shows_the_password_of_the_broker(settings: Any) -> None:
    settings.CELERY_BROKER_URL = "redis://:secret@redis.example.com/0"
    (message,) = check_broker_link()
    assert message.hint
    assert "secret" not in str(message)


def test_every_id_has_a_test_here() -> None:
    assert set(check_ids_in(Path(checks.__file__).read_text())) == {case[0] for case in CASES}
