"""What web server, worker and beat do first: refuse to start with a configuration that is wrong."""

import django
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured


def run_startup_checks() -> None:
    """Raise ImproperlyConfigured with every error that the system checks find.

    A server runs no checks by itself; a warning is left to `manage.py check --deploy`.
    """
    # Not twice: logging would be set up once more, on whatever Celery made of stderr meanwhile.
    if not apps.ready:
        django.setup(set_prefix=False)
    found = run_checks(include_deployment_checks=True)
    errors = [message for message in found if message.is_serious() and not message.is_silenced()]
    if errors:
        raise ImproperlyConfigured("\n".join(["not started", *map(str, errors)]))
