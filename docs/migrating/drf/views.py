"""The sign-in of old versions of the app."""

from rest_framework.authtoken.views import ObtainAuthToken

from authx.contrib.sunset.views import SunsetView


class OldLoginView(SunsetView, ObtainAuthToken):
    """Replaces obtain_auth_token."""
