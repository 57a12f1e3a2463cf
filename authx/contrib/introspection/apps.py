"""The app as Django loads it."""

from django.apps import AppConfig


class IntrospectionConfig(AppConfig):
    name = "authx.contrib.introspection"
    label = "authx_introspection"
    verbose_name = "Token introspection"
    default_auto_field = "django.db.models.BigAutoField"
