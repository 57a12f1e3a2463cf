"""Accepts tokens of rest_framework.authtoken until the date."""

from rest_framework.authentication import TokenAuthentication

from authx.contrib.sunset.authentication import SunsetAuthentication


class OldTokenAuthentication(SunsetAuthentication, TokenAuthentication):
    """A subclass of yours, such as one with another keyword, takes the second place."""
