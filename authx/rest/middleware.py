"""Middleware: the context of every request, and the rules for paths of the API."""

import logging
import re
from collections.abc import Callable
from functools import cache
from io import SEEK_END
from ipaddress import ip_address
from typing import Any, Final, cast
from uuid import uuid4

from asgiref.sync import iscoroutinefunction, markcoroutinefunction, sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse
from rest_framework.exceptions import Throttled
from rest_framework.settings import api_settings

from authx import conf
from authx.context import CONTEXT_KEY, RequestContext, use_context
from authx.errors import ConflictError, OverloadedError, RateLimitError
from authx.passwords.admission import end_request, is_undecided
from authx.rest.authentication import AUTHENTICATION_INFO
from authx.rest.error_views import json_error, rate_limited
from authx.rest.exceptions import FORBIDDEN, INVALID_REQUEST, UNAVAILABLE, ErrorResponse
from authx.sessions.cookies import DEVICE_COOKIE, DEVICE_COOKIE_AGE, NEW_DEVICE_COOKIE

logger = logging.getLogger(__name__)

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


class Middleware:
    """Runs in both modes of Django; under ASGI it needs no thread of its own."""

    sync_capable = async_capable = True

    def __init__(self, get_response: Callable[[HttpRequest], Any]) -> None:
        self.get_response = get_response
        self.is_async = iscoroutinefunction(get_response)
        if self.is_async:
            cast("Any", markcoroutinefunction)(self)


class RequestContextMiddleware(Middleware):
    """Sets `authx.context.current_context()` and the headers of every response; belongs first."""

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self.__acall__(request)
        context = _noted_context(request)
        with use_context(context):
            response = self.get_response(request)
            end_request(request, response)
        return _with_request_headers(response, request, context)

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        context = _noted_context(request)
        with use_context(context):
            response = await self.get_response(request)
            if is_undecided(request):
                await sync_to_async(end_request)(request, response)
        return _with_request_headers(response, request, context)

    def process_exception(self, request: HttpRequest, error: Exception) -> HttpResponse | None:
        """Respond to what is refused outside of DRF, such as in the admin."""
        if isinstance(error, OverloadedError | ConflictError):
            return json_error(UNAVAILABLE)
        if isinstance(error, RateLimitError | Throttled):
            return rate_limited(cast("Any", error).wait)
        return None


def _noted_context(request: HttpRequest) -> RequestContext:
    context = context_of(request)
    if context.ip is None:
        _warn_without_address()
    # Django logs some errors after all middleware has returned; the request is at hand then.
    request.META[CONTEXT_KEY] = context
    return context


@cache
def _warn_without_address() -> None:
    """Warn once in a process."""
    logger.warning(
        "A request has no client address, so limits per client network do not apply to it: let "
        "the proxy send X-Forwarded-For, and set NUM_PROXIES."
    )


def _with_request_headers(
    response: HttpResponse, request: HttpRequest, context: RequestContext
) -> HttpResponse:
    response["X-Request-ID"] = context.request_id
    # Tells the app that its access token was renewed (RFC 7615 section 3.1).
    if info := request.META.get(AUTHENTICATION_INFO):
        response["Authentication-Info"] = info
    if raw_credential := vars(request).get(NEW_DEVICE_COOKIE):
        response.set_cookie(
            DEVICE_COOKIE,
            raw_credential,
            max_age=DEVICE_COOKIE_AGE,
            path=settings.SESSION_COOKIE_PATH,
            domain=settings.SESSION_COOKIE_DOMAIN,
            secure=bool(settings.SESSION_COOKIE_SECURE) or request.is_secure(),
            httponly=True,
            samesite="Lax",
        )
    return response


class APIMiddleware(Middleware):
    """Refuses plain http and ignores cookies on `API_PATHS`; belongs before SecurityMiddleware."""

    def __call__(self, request: HttpRequest) -> Any:
        if self.is_async:
            return self.__acall__(request)
        if not _is_of_api(request):
            return self.get_response(request)
        refusal = _refusal(request)
        return _with_api_headers(json_error(refusal) if refusal else self.get_response(request))

    async def __acall__(self, request: HttpRequest) -> HttpResponse:
        if not _is_of_api(request):
            response: HttpResponse = await self.get_response(request)
            return response
        refusal = _refusal(request)
        return _with_api_headers(
            json_error(refusal) if refusal else await self.get_response(request)
        )


def _is_of_api(request: HttpRequest) -> bool:
    return re.match(conf.authx_setting("API_PATHS"), request.path_info) is not None


def _with_api_headers(response: HttpResponse) -> HttpResponse:
    response.headers.setdefault("Cache-Control", "no-store")
    for name, value in API_HEADERS.items():
        response[name] = value
    return response


def _refusal(request: HttpRequest) -> ErrorResponse | None:
    """Return why a request to the API is refused, or None; prepares it for the views."""
    # A browser sends cookies by itself, so another site could use them. Django would also respond
    # to an invalid cookie with a new one.
    request.META.pop("HTTP_COOKIE", None)
    # Not redirected: an app that follows would go on sending its tokens unencrypted, unnoticed.
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        return PLAIN_HTTP
    if isinstance(request, ASGIRequest):
        _note_length(request)
    elif "HTTP_TRANSFER_ENCODING" in request.META:
        # WSGI does not show where such a body ends, so Django would read nothing of it.
        return CHUNKED
    return None


def _note_length(request: ASGIRequest) -> None:
    """Set the length of a body that declares none: chunked, or over HTTP/2.

    An ASGI server has received all of it, but DRF reads no body without a length, and Django
    compares its limit with that length.
    """
    body: Any = request._stream
    if not request.META.get("CONTENT_LENGTH") and body.seekable():
        body.seek(0, SEEK_END)
        request.META["CONTENT_LENGTH"] = str(body.tell())
        body.seek(0)


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
