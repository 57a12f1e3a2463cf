"""The Celery application: `celery --app backend.celery worker`, and the same with `beat`."""

import logging
import os
import sys
from logging.config import dictConfig
from pathlib import Path
from typing import Any

from celery import Celery
from celery.beat import PersistentScheduler
from celery.signals import beat_init, setup_logging, worker_init
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured

from backend.startup import run_startup_checks

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

# Named one by one: autodiscovery would look for a module `tasks.tasks` and find nothing.
app = Celery("backend", include=["tasks.alerts", "tasks.cleanup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
# The current application is known to one thread only, and a web server has several.
app.set_default()


@setup_logging.connect
def configure_logging(**_: Any) -> None:
    """Let worker and beat log as the web server does; with a listener here, Celery keeps out."""
    dictConfig(settings.LOGGING)


@worker_init.connect
@beat_init.connect
def exit_on_failed_checks(**_: Any) -> None:
    """End the process: Celery would log any other exception and go on."""
    try:
        run_startup_checks()
    except ImproperlyConfigured as error:
        # Through the log: beat has taken stderr away by now.
        logger.critical("%s", error)
        sys.exit(1)


class Scheduler(PersistentScheduler):
    """Celery's own, which does not make the folder of its file."""

    def setup_schedule(self) -> None:
        filename = self.schedule_filename  # type: ignore[attr-defined]  # not in the stubs
        Path(filename).parent.mkdir(parents=True, exist_ok=True)
        super().setup_schedule()
