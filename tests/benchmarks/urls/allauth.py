"""Addresses of the project with django-allauth."""

from allauth.headless.contrib.rest_framework.authentication import JWTTokenAuthentication
from django.urls import include, path

from tests.benchmarks.ping import YARDSTICK, ping

urlpatterns = [
    YARDSTICK,
    ping("ping/", JWTTokenAuthentication),
    path("_allauth/", include("allauth.headless.urls")),
]
