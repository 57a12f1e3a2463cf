"""The app as Django loads it."""

from django.apps import AppConfig


class MetricsConfig(AppConfig):
    name = "authx.contrib.metrics"
    label = "authx_metrics"

    def ready(self) -> None:
        from authx.contrib.metrics import receivers

        receivers.connect()
