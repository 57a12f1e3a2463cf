"""The URL of the exchange, relative to where a project mounts it; a trailing slash is optional."""

from django.urls import re_path

from authx.contrib.sunset.views import ExchangeView

app_name = "authx_sunset"

urlpatterns = [re_path(r"^exchange/?$", ExchangeView.as_view(), name="exchange")]
