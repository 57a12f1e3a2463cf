"""The app as Django loads it."""

from importlib import import_module

from django.apps import AppConfig, apps


class OpenAPIConfig(AppConfig):
    name = "authx.contrib.openapi"
    label = "authx_openapi"

    def ready(self) -> None:
        # Importing the extensions registers them with drf-spectacular.
        import_module("authx.contrib.openapi.extensions")
        if apps.is_installed("authx.contrib.introspection"):
            import_module("authx.contrib.openapi.introspection")
        if apps.is_installed("authx.contrib.account"):
            import_module("authx.contrib.openapi.account")
