"""An older authentication scheme of the project: accepted until a date that responses announce.

For authentication classes that an existing project used before authx (docs/adopt.md).
"""

from typing import Any

from django.utils import timezone
from django.utils.http import http_date
from rest_framework.authentication import BaseAuthentication, get_authorization_header
from rest_framework.exceptions import AuthenticationFailed
from rest_framework.request import Request

from authx import conf


class SunsetAuthentication(BaseAuthentication):
    """A mixin for the class of the older scheme, which accepts tokens until AUTHX["SUNSET_AT"].

    List the combined class before TokenAuthentication.
    """

    def authenticate(self, request: Request) -> tuple[Any, Any] | None:
        # Both schemes may use Bearer; only tokens of authx have its prefix.
        _, _, credentials = get_authorization_header(request).partition(b" ")
        if credentials.strip().startswith(conf.knox_setting("TOKEN_PREFIX").encode()):
            return None
        accepted = super().authenticate(request)
        if accepted is not None:
            announce_sunset(request)
        return accepted


def announce_sunset(request: Request) -> None:
    """Announce in the response when the older scheme ends (RFC 9745, RFC 8594).

    Raises DRF's AuthenticationFailed after that date.
    """
    sunset_at, deprecated_at = conf.authx_setting("SUNSET_AT"), conf.authx_setting("DEPRECATED_AT")
    # DRF adds these headers to every response of the view, errors included. Outside of a view, such
    # as for Django's own request, there is no response to announce it in.
    view = (getattr(request, "parser_context", None) or {}).get("view")
    headers = {} if view is None else view.headers
    if deprecated_at is not None:
        headers["Deprecation"] = f"@{int(deprecated_at.timestamp())}"
    if sunset_at is not None:
        headers["Sunset"] = http_date(sunset_at.timestamp())
    if link := conf.authx_setting("SUNSET_LINK"):
        headers["Link"] = f'<{link}>; rel="deprecation", <{link}>; rel="sunset"'
    # Without a date the scheme is not accepted, so that none stays by being forgotten.
    if sunset_at is None or sunset_at <= timezone.now():
        raise AuthenticationFailed
