"""The Celery application: `celery --app backend.celery worker`, and the same with `beat`."""

import logging
import os
import sys
from logging.config import dictConfig
from typing import Any

from celery import Celery
from celery.signals import beat_init, setup_logging, worker_init, worker_process_shutdown
from django.conf import settings
from django.core.exceptions import ImproperlyConfigured
from django.utils.module_loading import import_string

from backend import operator_port
from backend.startup import run_startup_checks

logger = logging.getLogger(__name__)

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")
if settings.configured and settings.SETTINGS_MODULE is None:
    # OpenTelemetry configures empty settings if it finds no variable.
    raise ImproperlyConfigured(
        "Set DJANGO_SETTINGS_MODULE=backend.settings in the environment of the process."
    )
# Before the tasks import prometheus_client.
operator_port.share_metrics()

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
    # Loaded now, because it needs the models.
    import_string("backend.monitoring.serve_in_background")()


@worker_process_shutdown.connect
def forget_process(pid: int, **_: Any) -> None:
    operator_port.forget_process(pid)
