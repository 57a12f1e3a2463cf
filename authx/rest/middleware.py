"""Middleware: the context of every request, and the rules for paths of the API."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Any, Final, cast
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.settings import api_settings

from authx import conf
from authx.context import CONTEXT_KEY, RequestContext, use_context
from authx.errors import OverloadedError, RateLimitError
from authx.passwords.admission import end_request
from authx.rest.authentication import AUTHENTICATION_INFO
from authx.rest.error_views import json_error, rate_limited
from authx.rest.exceptions import FORBIDDEN, INVALID_REQUEST, UNAVAILABLE, ErrorResponse

MAX_USER_AGENT_LENGTH: Final = 256
MAX_PATH_LENGTH: Final = 256
# A browser must not render, frame or store a response of the API, nor send its URL as a referrer.
API_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PLAIN_HTTP: Final = FORBIDDEN._replace(description="Use https. This request was sent unencrypted.")
CHUNKED: Final = INVALID_REQUEST._replace(description="A request body needs a Content-Length.")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestContextMiddleware:
    """Sets `authx.context.current_context()` and the headers of every response; belongs first."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        context = context_of(request)
        # Django logs some errors after all middleware has returned; the request is at hand then.
        request.META[CONTEXT_KEY] = context
        with use_context(context):
            response = self.get_response(request)
            end_request(request)
        response["X-Request-ID"] = context.request_id
        # Tells the app that its access token was renewed (RFC 7615 section 3.1).
        if info := request.META.get(AUTHENTICATION_INFO):
            response["Authentication-Info"] = info
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Respond to what is refused outside of DRF, such as in the admin."""
        if isinstance(error, OverloadedError):
            return json_error(UNAVAILABLE)
        if isinstance(error, RateLimitError | Throttled):
            return rate_limited(cast("Any", error).wait)
        return None


class APIMiddleware:
    """Refuses plain http and ignores cookies on `API_PATHS`; belongs before SecurityMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not re.match(conf.authx_setting("API_PATHS"), request.path_info):
            return self.get_response(request)
        # A browser sends cookies by itself, so another site could use them. Django would also
        # respond to an invalid cookie with a new one.
        request.META.pop("HTTP_COOKIE", None)
        refusal = _refusal(request)
        response = json_error(refusal) if refusal else self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        for name, value in API_HEADERS.items():
            response[name] = value
        return response


def _refusal(request: HttpRequest) -> ErrorResponse | None:
    # Not redirected: an app that follows would go on sending its tokens unencrypted, unnoticed.
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        return PLAIN_HTTP
    # WSGI does not show where such a body ends, so Django would read nothing of it.
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return CHUNKED
    return None


def context_of(request: HttpRequest) -> RequestContext:
    """Return the context of a request; forwarding headers count only from NUM_PROXIES proxies."""
    return RequestContext(
        ip=_client_ip(request),
        user_agent=_printable(request.META.get("HTTP_USER_AGENT", ""), MAX_USER_AGENT_LENGTH),
        request_id=_request_id(request),
        method=_printable(request.method or "", MAX_PATH_LENGTH),
        path=_printable(request.path, MAX_PATH_LENGTH),
    )


def _printable(text: str, length: int) -> str:
    return (text if text.isprintable() else "".join(filter(str.isprintable, text)))[:length]


def _request_id(request: HttpRequest) -> str:
    """Return the id that our own proxy set, or a new one; a client's own could be anything."""
    given = request.META.get("HTTP_X_REQUEST_ID", "")
    return given if api_settings.NUM_PROXIES and REQUEST_ID.fullmatch(given) else uuid4().hex


def _client_ip(request: HttpRequest) -> str | None:
    proxies = api_settings.NUM_PROXIES
    forwarded = request.META.get("HTTP_X_FORWARDED_FOR", "")
    if proxies and forwarded:
        addresses = forwarded.split(",")
        return _address_in(addresses[-min(proxies, len(addresses))])
    return _address_in(request.META.get("REMOTE_ADDR", ""))


def _address_in(text: str) -> str | None:
    """Return an address without port, brackets and zone; None if there is none (RFC 7239 6)."""
    bracketed = re.fullmatch(r"\[(.+)\](:\d+)?|([\d.]+)(:\d+)?", text.strip())
    host = (bracketed[1] or bracketed[3]) if bracketed else text.strip()
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None
