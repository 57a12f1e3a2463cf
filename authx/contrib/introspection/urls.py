"""The URL of introspection, relative to where a project mounts it; a trailing slash is optional."""

from django.urls import re_path

from authx.contrib.introspection.views import IntrospectView

app_name = "authx_introspection"

urlpatterns = [re_path(r"^introspect/?$", IntrospectView.as_view(), name="introspect")]
