"""The app as Django loads it."""

from django.apps import AppConfig


class OpenAPIConfig(AppConfig):
    name = "authx.contrib.openapi"
    label = "authx_openapi"

    def ready(self) -> None:
        # Importing the extensions registers them with drf-spectacular.
        from authx.contrib.openapi import extensions  # noqa: F401
