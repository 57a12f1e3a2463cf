"""The checks that web server, worker and beat run before they start."""

import django
from django.apps import apps
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured


def run_startup_checks() -> None:
    """Raise ImproperlyConfigured with every error that the system checks find.

    WSGI servers and Celery run no checks by themselves. Warnings are left to `check --deploy`.
    """
    # A second setup would configure logging again, with the stderr that Celery has redirected.
    if not apps.ready:
        django.setup(set_prefix=False)
    found = run_checks(include_deployment_checks=True)
    errors = [message for message in found if message.is_serious() and not message.is_silenced()]
    if errors:
        raise ImproperlyConfigured("\n".join(["not started", *map(str, errors)]))
