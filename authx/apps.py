"""The app as Django loads it."""

from django.apps import AppConfig
from django.core.checks import Tags, register
from django.db.models.signals import post_save, pre_save


class AuthxConfig(AppConfig):
    name = "authx"
    verbose_name = "Device sessions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from authx import checks, schema  # noqa: F401, PLC0415 -- models are not loaded before
        from authx.sessions import credentials  # noqa: PLC0415 -- models are not loaded before

        register(checks.check_settings, Tags.security)
        # From any sender: a person may be saved through a proxy of the user model.
        pre_save.connect(
            credentials.follow_hash_upgrade,
            dispatch_uid="authx_follow_hash_upgrade",
        )
        post_save.connect(
            credentials.end_sessions_of_inactive,
            dispatch_uid="authx_end_sessions_of_inactive",
        )
