"""Accepts access tokens of SimpleJWT until the date."""

from rest_framework_simplejwt.authentication import JWTAuthentication

from authx.contrib.sunset.authentication import SunsetAuthentication


class OldTokenAuthentication(SunsetAuthentication, JWTAuthentication):
    """A subclass of yours takes the second place."""
