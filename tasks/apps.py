"""The app as Django loads it."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        from tasks import checks, metrics  # noqa: F401 -- metrics receives Celery's signals

        register(checks.check_celery, Tags.security)
        register(checks.check_broker_link, Tags.security, deploy=True)
