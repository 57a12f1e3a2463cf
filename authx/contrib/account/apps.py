"""The app as Django loads it."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class AccountConfig(AppConfig):
    name = "authx.contrib.account"
    label = "authx_account"

    def ready(self) -> None:
        from authx.contrib.account.checks import check_account

        register(check_account, Tags.security)
