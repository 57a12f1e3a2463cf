"""A scheme of the project that authx replaces: taken until a date, announced as retiring.

For authentication classes that an existing project had before (docs/adopt.md).
"""

from typing import Any

from django.utils import timezone
from django.utils.http import http_date
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from authx import conf


class SunsetAuthentication(BaseAuthentication):
    """Put before the old scheme's own class, in one that a project lists before ours.

    What the old class accepts is accepted until AUTHX["SUNSET_AT"].
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        # Both schemes may say Bearer; only ours has our prefix.
        _, _, credentials = get_authorization_header(request).partition(b" ")
        if credentials.strip().startswith(conf.knox("TOKEN_PREFIX").encode()):
            return None
        accepted = super().authenticate(request)
        if accepted is not None:
            announce_sunset(request)
        return accepted


def announce_sunset(request: Request) -> None:
    """Announce in the answer when the old scheme ends (RFC 9745, RFC 8594).

    Raises DRF's AuthenticationFailed once it has.
    """
    sunset_at, deprecated_at = conf.own("SUNSET_AT"), conf.own("DEPRECATED_AT")
    # What a view wants to say in its answer, an error included, DRF takes from here.
    headers = request.parser_context["view"].headers
    if deprecated_at is not None:
        headers["Deprecation"] = f"@{int(deprecated_at.timestamp())}"
    if sunset_at is not None:
        headers["Sunset"] = http_date(sunset_at.timestamp())
    if link := conf.own("SUNSET_LINK"):
        headers["Link"] = f'<{link}>; rel="deprecation", <{link}>; rel="sunset"'
    # Without a date there is no old scheme: none lasts for ever by being forgotten.
    if sunset_at is None or sunset_at <= timezone.now():
        raise AuthenticationFailed
