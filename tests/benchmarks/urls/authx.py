"""Addresses of the project with authx."""

from django.urls import include, path

from authx.rest.authentication import TokenAuthentication
from tests.benchmarks.ping import YARDSTICK, ping

urlpatterns = [
    YARDSTICK,
    ping("ping/", TokenAuthentication),
    path("users/", include("authx.urls")),
]
