"""The app as Django loads it."""

from django.apps import AppConfig
from django.conf import settings
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.checks import Tags, register
from django.db.models.signals import post_save, pre_delete, pre_save


class AuthxConfig(AppConfig):
    name = "authx"
    verbose_name = "Device sessions"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        from authx import (  # noqa: F401, PLC0415 -- models are not loaded before
            checks,
            receivers,
            schema,
        )
        from authx.passwords import hash_upgrades  # noqa: PLC0415 -- the same

        for check in checks.ALWAYS:
            register(check, Tags.security)
        for check in checks.DEPLOYED:
            register(check, Tags.security, deploy=True)
        user_login_failed.connect(receivers.record_failed_sign_in, dispatch_uid="authx_failed")
        user_logged_in.connect(receivers.record_sign_in_elsewhere, dispatch_uid="authx_signed_in")
        # Saves from any sender: a user may be saved through a proxy of the user model.
        pre_save.connect(hash_upgrades.follow_hash_upgrade, dispatch_uid="authx_hash_upgrade")
        post_save.connect(receivers.end_sessions_of_inactive, dispatch_uid="authx_inactive")
        post_save.connect(receivers.record_changed_password, dispatch_uid="authx_password")
        # Deletions from this one: a listener to all would switch Django's fast deletes off.
        pre_delete.connect(
            receivers.end_sessions_of_deleted,
            sender=settings.AUTH_USER_MODEL,
            dispatch_uid="authx_deleted",
        )
