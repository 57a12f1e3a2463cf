"""The project as an app, for its system checks."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class BackendConfig(AppConfig):
    name = "backend"

    def ready(self) -> None:
        from backend import checks

        register(checks.check_deployment, Tags.security, deploy=True)
