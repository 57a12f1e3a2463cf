"""The app as Django loads it."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class IntrospectionConfig(AppConfig):
    name = "authx.contrib.introspection"
    label = "authx_introspection"
    verbose_name = _("Token introspection")
    default_auto_field = "django.db.models.BigAutoField"
