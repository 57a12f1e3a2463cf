"""The app as Django loads it."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class TasksConfig(AppConfig):
    name = "tasks"

    def ready(self) -> None:
        from tasks import checks

        register(checks.check_celery, Tags.security)
        register(checks.check_broker_link, Tags.security, deploy=True)
