"""Every refusal in one shape: `{"error": code, "error_description": sentence, "fields"?}`.

Maps what the rules, DRF and Django raise to status, code and headers (RFC 6749 section 5.2,
RFC 6750 section 3).
"""

import logging
from collections.abc import Iterator
from http import HTTPStatus
from math import ceil
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
from rest_framework import exceptions
from rest_framework.response import Response
from rest_framework.views import exception_handler as drf_exception_handler

from authx.audit.logs import log_event, log_refusal
from authx.audit.vocabulary import ACCESS_DENIED
from authx.context import current_context
from authx.errors import (
    AuthxError,
    ConflictError,
    InvalidCredentialsError,
    InvalidRefreshTokenError,
    InvalidServiceError,
    LateDuplicateError,
    TooManyRotationsError,
    WrongPasswordError,
)
from authx.rest.authentication import challenge

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 5


class ErrorResponse(NamedTuple):
    """The public side of an error; sentences are ASCII (RFC 6749 section 5.2)."""

    status: HTTPStatus
    code: str
    description: str


class UnsupportedGrantTypeError(exceptions.APIException):
    """Raised for a grant other than refresh_token."""


INVALID_REQUEST = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_request", "The request is malformed."
)
SERVER_ERROR = ErrorResponse(
    HTTPStatus.INTERNAL_SERVER_ERROR, "server_error", "Something broke on our side."
)
NOT_FOUND = ErrorResponse(HTTPStatus.NOT_FOUND, "not_found", "There is nothing at this address.")
FORBIDDEN = ErrorResponse(HTTPStatus.FORBIDDEN, "forbidden", "You may not do that.")
UNAVAILABLE = ErrorResponse(
    HTTPStatus.SERVICE_UNAVAILABLE,
    "temporarily_unavailable",
    "The service is briefly unavailable. Keep your tokens and try again.",
)
TOO_LARGE = ErrorResponse(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", "The request body is too large."
)

RATE_LIMITED = ErrorResponse(
    HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Too many requests. Wait, then try again."
)

INVALID_CREDENTIALS = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_grant", "The user name or the password is wrong."
)
# One body for all: whether a token was unknown, expired, revoked or reused is for the log.
INVALID_REFRESH_TOKEN = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_grant", "The refresh token is not valid. Sign in again."
)

# Ordered: the first class that fits decides.
ERROR_RESPONSES: Final[dict[type[Exception], ErrorResponse]] = {
    InvalidCredentialsError: INVALID_CREDENTIALS,
    InvalidRefreshTokenError: INVALID_REFRESH_TOKEN,
    UnsupportedGrantTypeError: ErrorResponse(
        HTTPStatus.BAD_REQUEST,
        "unsupported_grant_type",
        "The only grant type here is refresh_token.",
    ),
    InvalidServiceError: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "invalid_client", "The credential of a service is needed here."
    ),
    WrongPasswordError: INVALID_REQUEST,
    exceptions.ValidationError: INVALID_REQUEST,
    exceptions.ParseError: INVALID_REQUEST,
    exceptions.NotAuthenticated: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "unauthorized", "An access token is needed here."
    ),
    exceptions.AuthenticationFailed: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "invalid_token", "The access token is not valid."
    ),
    exceptions.PermissionDenied: FORBIDDEN,
    PermissionDenied: FORBIDDEN,
    exceptions.NotFound: NOT_FOUND,
    Http404: NOT_FOUND,
    exceptions.MethodNotAllowed: ErrorResponse(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "This method is not offered here."
    ),
    exceptions.UnsupportedMediaType: ErrorResponse(
        HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        "unsupported_media_type",
        "This content type is not read here.",
    ),
    exceptions.Throttled: RATE_LIMITED,
    RequestDataTooBig: TOO_LARGE,
    TooManyFieldsSent: TOO_LARGE,
    SuspiciousOperation: INVALID_REQUEST,
    # Among them a password that changed beside a project's own sign-in: once more will do.
    ConflictError: UNAVAILABLE,
    # A copy that arrived late: the app keeps its tokens, and has newer ones.
    LateDuplicateError: UNAVAILABLE,
    TooManyRotationsError: RATE_LIMITED,
    # A database that is away says nothing about a token: apps sign users out on 401.
    OperationalError: UNAVAILABLE,
    InterfaceError: UNAVAILABLE,
    # A standby that became readable before it became writable says so with this one.
    InternalError: UNAVAILABLE,
}

ERROR_CODES: Final = sorted({answer.code for answer in (*ERROR_RESPONSES.values(), SERVER_ERROR)})


def exception_handler(error: Exception, context: dict[str, Any]) -> Response:
    """Answer an exception of a DRF view (the setting EXCEPTION_HANDLER)."""
    answer = match_error(error)
    # DRF's own handler rolls a surrounding transaction back, and knows headers of its errors.
    response = drf_exception_handler(error, context) or Response()
    if answer is None and isinstance(error, exceptions.APIException):
        answer = ErrorResponse(HTTPStatus(error.status_code), error.default_code, str(error.detail))
    if answer is None:
        answer = server_error_response(error)
        # Error reporters listen to this, and DRF would have kept it from them.
        got_request_exception.send(sender=None, request=context["request"]._request)
    _log(error, answer, context)
    response.status_code = answer.status
    response.data = error_body(answer, fields=_fields(error))
    for name, value in error_headers(answer):
        response[name] = value
    if isinstance(error, TooManyRotationsError):
        response["Retry-After"] = str(ceil(error.wait.total_seconds()) + 1)
    return response


def match_error(error: BaseException | None) -> ErrorResponse | None:
    return next((found for kind, found in ERROR_RESPONSES.items() if isinstance(error, kind)), None)


def server_error_response(error: BaseException | None) -> ErrorResponse:
    """Answer what no rule foresaw with the number under which it is in the log."""
    request_id = current_context().request_id or uuid4().hex
    logger.error("request %s failed", request_id, exc_info=error)
    sentence = f"{SERVER_ERROR.description} Its number is {request_id}."
    return SERVER_ERROR._replace(description=sentence)


def _log(error: Exception, answer: ErrorResponse, context: dict[str, Any]) -> None:
    """Keep the reason that the answer does not tell."""
    if answer is UNAVAILABLE and not isinstance(error, LateDuplicateError):
        # In a word: an outage under load would otherwise fill the log with tracebacks.
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
        # In a project's own views too (RFC 6585 section 4); DRF itself has set Retry-After.
        yield "Cache-Control", "no-store"


def _fields(error: Exception) -> dict[str, list[str]]:
    if isinstance(error, WrongPasswordError):
        return {"current_password": ["This is not the present password."]}
    if isinstance(error, exceptions.ValidationError):
        return dict(_flatten("", error.detail))
    return {}


def _flatten(path: str, detail: Any) -> Iterator[tuple[str, list[str]]]:
    """Yield `device.name` for a field within an object, with the sentences said of it."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from _flatten(f"{path}.{name}" if path else str(name), inner)
    else:
        yield path or "non_field_errors", [str(sentence) for sentence in detail]
