"""Addresses of the project with django-oauth-toolkit."""

from django.urls import include, path
from oauth2_provider.contrib.rest_framework import OAuth2Authentication

from tests.benchmarks.ping import YARDSTICK, ping

urlpatterns = [
    YARDSTICK,
    ping("ping/", OAuth2Authentication),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
