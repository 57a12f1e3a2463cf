"""The app as Django loads it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AuthxConfig(AppConfig):
    name = "authx"
    verbose_name = _("Device sessions")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        # Models are not loaded before.
        from authx import checks, receivers

        checks.register_all()
        receivers.connect()
