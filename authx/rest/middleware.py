"""What every request passes first: it gets a number, and an API stays an API."""

import re
from collections.abc import Callable
from ipaddress import ip_address
from typing import Final
from uuid import uuid4

from django.conf import settings
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.settings import api_settings

from authx import conf
from authx.context import CONTEXT_KEY, RequestContext, within
from authx.rest.authentication import AUTHENTICATION_INFO
from authx.rest.error_views import plain, rate_limited
from authx.rest.exceptions import FORBIDDEN, INVALID_REQUEST, ErrorResponse

MAX_USER_AGENT_LENGTH: Final = 256
MAX_PATH_LENGTH: Final = 256
# An API answers programs: no browser is to render, frame, keep or pass on anything of it.
API_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PLAIN_HTTP: Final = FORBIDDEN._replace(description="Use https: this was sent in the clear.")
CHUNKED: Final = INVALID_REQUEST._replace(description="A request body needs a Content-Length.")
REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{8,64}")


class RequestContextMiddleware:
    """Sets `authx.context.current_context()`, and answers with what belongs to any answer.

    Belongs first.
    """

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        source = context_of(request)
        # Django logs a refusal when all middleware is left already, with the request at hand.
        request.META[CONTEXT_KEY] = source
        with within(source):
            response = self.get_response(request)
        response["X-Request-ID"] = source.request_id
        # An app learns without parsing that its token lives on (RFC 7615 section 3.1).
        if info := request.META.get(AUTHENTICATION_INFO):
            response["Authentication-Info"] = info
        return response

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:  # noqa: ARG002
        """Answer a password that was tried too often outside of DRF: in the admin, say."""
        return rate_limited(error) if isinstance(error, Throttled) else None


class APIMiddleware:
    """Keeps plain http and cookies away from `API_PATHS`; belongs before SecurityMiddleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not re.match(conf.own("API_PATHS"), request.path_info):
            return self.get_response(request)
        # Nobody is recognised by what a browser sends by itself, so no other site can use it; and
        # Django would answer a spoilt cookie with a new one.
        request.META.pop("HTTP_COOKIE", None)
        refusal = _refusal(request)
        response = plain(refusal) if refusal else self.get_response(request)
        response.headers.setdefault("Cache-Control", "no-store")
        for name, value in API_HEADERS.items():
            response[name] = value
        return response


def _refusal(request: HttpRequest) -> ErrorResponse | None:
    # Not redirected: an app that follows would go on sending its tokens in the clear, unnoticed.
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        return PLAIN_HTTP
    # WSGI has no end of such a body, so Django would read none of it, and miss every field.
    if "HTTP_TRANSFER_ENCODING" in request.META:
        return CHUNKED
    return None


def context_of(request: HttpRequest) -> RequestContext:
    """Return where a request came from; forwarding headers count only from our own proxies."""
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
    """Return the number that our own proxy gave, or a new one: a stranger's could be anything."""
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
    """Return an address without port, brackets and zone; None for what is none (RFC 7239 6)."""
    bracketed = re.fullmatch(r"\[(.+)\](:\d+)?|([\d.]+)(:\d+)?", text.strip())
    host = (bracketed[1] or bracketed[3]) if bracketed else text.strip()
    try:
        return str(ip_address(host.partition("%")[0]))
    except ValueError:
        return None
