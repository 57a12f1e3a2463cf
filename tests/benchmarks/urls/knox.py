"""Addresses of the project with Knox; a sign-in by basic authentication, as its guide begins."""

from django.urls import path
from knox.auth import TokenAuthentication
from knox.views import LoginView, LogoutAllView
from rest_framework.authentication import BasicAuthentication

from tests.benchmarks.ping import YARDSTICK, ping

urlpatterns = [
    YARDSTICK,
    ping("ping/", TokenAuthentication),
    path("login/", LoginView.as_view(authentication_classes=[BasicAuthentication])),
    path("logoutall/", LogoutAllView.as_view()),
]
