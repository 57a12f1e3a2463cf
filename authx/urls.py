"""The URLs, relative to where a project mounts them; a trailing slash is optional."""

from django.urls import re_path

from authx.rest.views.account import (
    ActivityView,
    LogoutAllView,
    LogoutView,
    MeView,
    PasswordView,
    ReauthenticateView,
)
from authx.rest.views.devices import DevicesView, DeviceView
from authx.rest.views.tokens import LoginView, RevokeView, TokenView

app_name = "authx"

# Never redirected: a client that follows sends its body, with tokens, to wherever it is told.
urlpatterns = [
    re_path(r"^login/?$", LoginView.as_view(), name="login"),
    re_path(r"^token/?$", TokenView.as_view(), name="token"),
    re_path(r"^revoke/?$", RevokeView.as_view(), name="revoke"),
    re_path(r"^me/?$", MeView.as_view(), name="me"),
    re_path(r"^logout/?$", LogoutView.as_view(), name="logout"),
    re_path(r"^logout-all/?$", LogoutAllView.as_view(), name="logout-all"),
    re_path(r"^password/?$", PasswordView.as_view(), name="password"),
    re_path(r"^reauthenticate/?$", ReauthenticateView.as_view(), name="reauthenticate"),
    re_path(r"^activity/?$", ActivityView.as_view(), name="activity"),
    re_path(r"^devices/?$", DevicesView.as_view(), name="devices"),
    re_path(r"^devices/(?P<id>[^/]+)/?$", DeviceView.as_view(), name="device"),
]
