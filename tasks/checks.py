"""System checks of Celery: the beat schedule, the accepted content, the broker URL.

They ask Celery's application what it uses, however it was configured.
"""

from collections.abc import Iterator
from importlib import import_module
from typing import Any, Final
from urllib.parse import urlsplit

from celery import current_app
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from authx.checks.project import is_loopback
from tasks.alerts import send_notifications
from tasks.cleanup import sweep

PLAIN_SCHEMES: Final = frozenset({"redis", "sentinel", "amqp", "pyamqp"})


def check_celery(**_: Any) -> list[CheckMessage]:
    """Check what is needed on any machine."""
    return [*_check_schedule(), *_check_content()]


def check_broker_link(**_: Any) -> list[CheckMessage]:
    """Warn of a broker without TLS (`check --deploy`)."""
    broker = urlsplit(current_app.conf.broker_url or "")
    if broker.scheme not in PLAIN_SCHEMES or is_loopback(broker.hostname or ""):
        return []
    text = "The broker is reached over a network without TLS."
    return [CheckWarning(text, hint="Use a rediss:// or amqps:// URL.", id="tasks.W001")]


def _check_schedule() -> Iterator[CheckMessage]:
    scheduled = {entry["task"] for entry in current_app.conf.beat_schedule.values()}
    if sweep.name not in scheduled:
        yield Error(
            "No sweep is scheduled: ended sessions are never deleted.",
            hint=f"Add {sweep.name!r} to CELERY_BEAT_SCHEDULE.",
            id="tasks.E001",
        )
    if send_notifications.name not in scheduled:
        yield Error(
            "No mail is scheduled: users are not notified of a new device or a stolen token.",
            hint=f"Add {send_notifications.name!r} to CELERY_BEAT_SCHEDULE.",
            id="tasks.E004",
        )
    for name in scheduled - _known_tasks():
        yield Error(
            f"CELERY_BEAT_SCHEDULE contains {name!r}, which is not a known task.",
            hint="Correct the name, or include its module in the Celery application.",
            id="tasks.E002",
        )


def _known_tasks() -> set[str]:
    # Not import_default_modules(), which would run the system checks once more.
    for module in current_app.conf.include or ():
        import_module(module)
    return set(current_app.tasks)


def _check_content() -> Iterator[CheckMessage]:
    accepted = set(current_app.conf.accept_content)
    if not accepted <= {"json", "application/json"}:
        yield Error(
            "Celery accepts more than JSON: a pickled message can run code.",
            hint="Set CELERY_ACCEPT_CONTENT = ['json'].",
            id="tasks.E003",
        )
