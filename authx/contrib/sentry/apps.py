"""The app as Django loads it."""

from importlib.util import find_spec

from django.apps import AppConfig


class SentryConfig(AppConfig):
    name = "authx.contrib.sentry"
    label = "authx_sentry"

    def ready(self) -> None:
        if find_spec("sentry_sdk") is None:
            return
        from authx.contrib.sentry import client

        client.connect()
