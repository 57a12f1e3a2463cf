"""The app as Django loads it."""

from django.apps import AppConfig
from django.core.checks import Tags, register


class SunsetConfig(AppConfig):
    name = "authx.contrib.sunset"
    label = "authx_sunset"

    def ready(self) -> None:
        from authx.contrib.sunset.checks import check_sunset

        register(check_sunset, Tags.security)
