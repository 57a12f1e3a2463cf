"""The sign-in and the refresh of old versions of the app."""

from rest_framework_simplejwt.views import TokenObtainPairView, TokenRefreshView

from authx.contrib.sunset.views import SunsetView


class OldLoginView(SunsetView, TokenObtainPairView):
    """Replaces TokenObtainPairView."""


class OldRefreshView(SunsetView, TokenRefreshView):
    """Replaces TokenRefreshView."""
