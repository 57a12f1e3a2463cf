"""The app as Django loads it."""

from importlib.util import find_spec

from django.apps import AppConfig


class TracingConfig(AppConfig):
    name = "authx.contrib.tracing"
    label = "authx_tracing"

    def ready(self) -> None:
        if find_spec("opentelemetry") is None:
            return
        from authx.contrib.tracing import receivers

        receivers.connect()
