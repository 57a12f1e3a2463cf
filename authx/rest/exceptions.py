"""Error responses, all in one shape: `{"error": code, "error_description": text, "fields"?}`.

Maps the exceptions of authx, DRF and Django to status, code and headers (RFC 6749 section 5.2,
RFC 6750 section 3).
"""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple
from uuid import uuid4

from django.core.exceptions import (
    PermissionDenied,
    RequestDataTooBig,
    SuspiciousOperation,
    TooManyFieldsSent,
)
from django.core.signals import got_request_exception
from django.db import InterfaceError, InternalError, OperationalError
from django.http import Http404
from django.utils.translation import gettext
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from authx.audit.logs import ACCESS_DENIED, log_event, log_refusal
from authx.context import current_context
from authx.errors import (
    AuthxError,
    ConflictError,
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    InvalidServiceError,
    LateDuplicateError,
    OverloadedError,
    RateLimitError,
    WrongPasswordError,
)
from authx.rest.authentication import challenge

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 5


class ErrorResponse(NamedTuple):
    """The public part of an error; descriptions are ASCII (RFC 6749 section 5.2)."""

    status: HTTPStatus
    code: str
    description: str


class UnsupportedGrantTypeError(exceptions.APIException):
    """Raised for a grant other than refresh_token."""


INVALID_REQUEST = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_request", "The request is malformed."
)
SERVER_ERROR = ErrorResponse(
    HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", "An internal error occurred."
)
NOT_FOUND = ErrorResponse(HTTPStatus.NOT_FOUND, "not_found", "The resource does not exist.")
FORBIDDEN = ErrorResponse(HTTPStatus.FORBIDDEN, "forbidden", "This is not allowed.")
UNAVAILABLE = ErrorResponse(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "temporarily_unavailable",
    "The service is temporarily unavailable. Keep your tokens and try again later.",
)
TOO_LARGE = ErrorResponse(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", "The request body is too large."
)

RATE_LIMITED = ErrorResponse(
    HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Too many requests. Try again later."
)

INVALID_CREDENTIALS = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_grant", "The user name or the password is wrong."
)
# One body for every reason: only the log says whether it was unknown, expired, revoked or reused.
INVALID_REFRESH_TOKEN = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_grant", "The refresh token is not valid. Sign in again."
)

# In order: the first matching class decides.
ERROR_RESPONSES: Final[dict[type[Exception], ErrorResponse]] = {
    InvalidCredentialsError: INVALID_CREDENTIALS,
    InvalidRefreshTokenError: INVALID_REFRESH_TOKEN,
    UnsupportedGrantTypeError: ErrorResponse(
        HTTPStatus.BAD_REQUEST,
        "unsupported_grant_type",
        "The only supported grant type is refresh_token.",
    ),
    InvalidServiceError: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "invalid_client", "The credential of a service is required."
    ),
    WrongPasswordError: INVALID_REQUEST,
    exceptions.ValidationError: INVALID_REQUEST,
    exceptions.ParseError: INVALID_REQUEST,
    exceptions.NotAuthenticated: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "unauthorized", "An access token is required."
    ),
    exceptions.AuthenticationFailed: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "invalid_token", "The access token is not valid."
    ),
    exceptions.PermissionDenied: FORBIDDEN,
    PermissionDenied: FORBIDDEN,
    exceptions.NotFound: NOT_FOUND,
    Http404: NOT_FOUND,
    exceptions.MethodNotAllowed: ErrorResponse(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not supported."
    ),
    exceptions.UnsupportedMediaType: ErrorResponse(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "The content type is not supported.",
    ),
    exceptions.Throttled: RATE_LIMITED,
    RequestDataTooBig: TOO_LARGE,
    TooManyFieldsSent: TOO_LARGE,
    SuspiciousOperation: INVALID_REQUEST,
    # Another attempt succeeds.
    ConflictError: UNAVAILABLE,
    # The app keeps its tokens, and finds newer ones in its store.
    LateDuplicateError: UNAVAILABLE,
    OverloadedError: UNAVAILABLE,
    RateLimitError: RATE_LIMITED,
    # An unavailable database says nothing about a token, and apps sign users out on 401.
    OperationalError: UNAVAILABLE,
    InterfaceError: UNAVAILABLE,
    # Raised by a standby that is readable but not yet writable.
    InternalError: UNAVAILABLE,
}

ERROR_CODES: Final = sorted({answer.code for answer in (*ERROR_RESPONSES.values(), SERVER_ERROR)})


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Return the response to an exception of a DRF view (the setting EXCEPTION_HANDLER)."""
    answer = match_error(error)
    # DRF's own handler rolls back a surrounding transaction, and sets the headers of its errors.
    response = drf_exception_handler(error, context) or Response()
    if answer is None and isinstance(error, exceptions.APIException):
        answer = ErrorResponse(HTTPStatus(error.status_code), error.default_code, str(error.detail))
    if answer is None:
        answer = server_error_response(error)
        # For error reporters; DRF does not send this signal for a handled exception.
        got_request_exception.send(sender=None, request=context["request"]._request)
    _log(error, answer, context)
    response.status_code = answer.status
    response.data = error_body(answer, fields=_fields(error))
    for name, value in error_headers(answer):
        response[name] = value
    if isinstance(error, RateLimitError):
        response["Retry-After"] = str(error.wait)
    return response


def match_error(error: BaseException | None) -> ErrorResponse | None:
    """Return the response to an exception, or None for an unexpected one."""
    return next((found for kind, found in ERROR_RESPONSES.items() if isinstance(error, kind)), None)


def server_error_response(error: BaseException | None) -> ErrorResponse:
    """Log an unexpected exception, and return a response with the request id of the log record."""
    request_id = current_context().request_id or uuid4().hex
    logger.error("request %s failed", request_id, exc_info=error)
    sentence = f"{SERVER_ERROR.description} Request id: {request_id}."
    return SERVER_ERROR._replace(description=sentence)


def _log(error: Exception, answer: ErrorResponse, context: dict[str, Any]) -> None:
    """Log the reason, which the response does not contain."""
    if answer is UNAVAILABLE and not isinstance(error, LateDuplicateError | OverloadedError):
        # Without traceback: an outage under load would fill the log with them.
        logger.error("temporarily unavailable, %s: %s", type(error).__name__, error)
    refusal = error.__cause__ if isinstance(error, exceptions.AuthenticationFailed) else error
    if isinstance(refusal, AuthxError):
        log_refusal(refusal)
    if answer is FORBIDDEN:
        log_event(ACCESS_DENIED, user_id=context["request"].user.pk)


def error_body(answer: ErrorResponse, fields: dict[str, list[str]] | None = None) -> dict[str, Any]:
    body: dict[str, Any] = {"error": answer.code, "error_description": answer.description}
    if fields:
        body["fields"] = fields
    return body


def error_headers(answer: ErrorResponse) -> Iterator[tuple[str, str]]:
    if answer.status == HTTPStatus.UNAUTHORIZED:
        yield "WWW-Authenticate", challenge(answer.code)
    if answer is UNAVAILABLE:
        yield "Retry-After", str(RETRY_AFTER_SECONDS)
    if answer is RATE_LIMITED:
        # In a project's own views too (RFC 6585 section 4); DRF has set Retry-After.
        yield "Cache-Control", "no-store"


def _fields(error: Exception) -> dict[str, list[str]]:
    if isinstance(error, WrongPasswordError):
        return {"current_password": [gettext("This is not the current password.")]}
    if isinstance(error, exceptions.ValidationError):
        return dict(_flatten("", error.detail))
    return {}


def _flatten(path: str, detail: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield `device.name` for a field within an object, with its error messages."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flatten(f"{path}.{name}" if path else str(name), inner)
    else:
        yield path or "non_field_errors", [str(sentence) for sentence in detail]
