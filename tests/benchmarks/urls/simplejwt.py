"""Addresses of the project with SimpleJWT."""

from django.urls import path
from rest_framework_simplejwt.authentication import (
    JWTAuthentication,
    JWTStatelessUserAuthentication,
)
from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from tests.benchmarks.ping import YARDSTICK, ping

urlpatterns = [
    YARDSTICK,
    ping("ping/", JWTAuthentication),
    ping("stateless/", JWTStatelessUserAuthentication),
    path("token/", TokenObtainPairView.as_view()),
    path("token/refresh/", TokenRefreshView.as_view()),
]
