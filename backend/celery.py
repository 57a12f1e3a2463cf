"""The Celery application: `celery --app backend.celery worker`, and the same with `beat`."""

import logging
import os
import sys
from datetime import UTC, datetime
from logging.config import dictConfig
from typing import Any, Final

from celery import Celery, beat
from celery.signals import beat_init, setup_logging, worker_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from backend.startup import run_startup_checks

logger = logging.getLogger(__name__)

LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

# Listed by name: autodiscovery looks for a module `tasks.tasks`, which does not exist.
app = Celery("backend", include=["tasks.alerts", "tasks.cleanup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
# The current application is local to a thread, and a web server has several threads.
app.set_default()


@setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Log as the web server does; Celery configures no logging if this signal has a receiver."""
    dictConfig(settings.LOGGING)


@worker_init.connect
@beat_init.connect
def exit_on_failed_checks(**_: Any) -> None:
    """Exit if a check fails; Celery would log any other exception and continue."""
    try:
        run_startup_checks()
    except ImproperlyConfigured as error:
        # Through the log, because beat has redirected stderr by now.
        logger.critical("%s", error)
        sys.exit(1)


class Scheduler(beat.Scheduler):
    """Celery's scheduler in memory, which writes no file; every task is due when beat starts.

    With a long interval and a frequent restart, a task would otherwise never start.
    """

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = LONG_AGO
