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
from rest_framework.settings import api_settings
from rest_framework.views import set_rollback

from authx.audit.logs import ACCESS_DENIED, log_event, log_refusal
from authx.context import current_context
from authx.errors import (
    AuthxError,
    ConflictError,
    InvalidAccessTokenError,
    InvalidCredentialsError,
    InvalidRecoveryTokenError,
    InvalidRefreshTokenError,
    InvalidServiceError,
    LateDuplicateError,
    OverloadedError,
    RateLimitError,
    WrongPasswordError,
)
from authx.rest.authentication import challenge
from authx.rest.error_details import fields_of
from authx.rest.own_errors import as_drf_error, detail_of, own_extra_data, own_headers, own_response
from authx.rest.permissions import RecentSignInRequired

logger = logging.getLogger(__name__)

RETRY_AFTER_SECONDS: Final = 5


class ErrorResponse(NamedTuple):
    """The public part of an error; descriptions are ASCII (RFC 6749 section 5.2).

    A project may use a status that has no name.
    """

    status: int
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
# An APIException that is none of DRF's kinds.
UNNAMED = ErrorResponse(
    HTTPStatus.INTERNAL_SERVER_ERROR, "error", "The request could not be processed."
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

UNSUPPORTED_MEDIA_TYPE = ErrorResponse(
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
    "unsupported_media_type",
    "The content type is not supported.",
)
RATE_LIMITED = ErrorResponse(
    HTTPStatus.TOO_MANY_REQUESTS, "rate_limited", "Too many requests. Try again later."
)

INVALID_CREDENTIALS = ErrorResponse(
    HTTPStatus.BAD_REQUEST, "invalid_grant", "The user name or the password is wrong."
)
INVALID_ACCESS_TOKEN = ErrorResponse(
    HTTPStatus.UNAUTHORIZED, "invalid_token", "The access token is not valid."
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
    InvalidRecoveryTokenError: ErrorResponse(
        HTTPStatus.BAD_REQUEST,
        "invalid_grant",
        "The recovery token is not valid any more. Ask for a new one.",
    ),
    WrongPasswordError: INVALID_REQUEST,
    RecentSignInRequired: ErrorResponse(
        HTTPStatus.UNAUTHORIZED,
        "insufficient_user_authentication",
        "Authenticate again: the last time is too long ago.",
    ),
    exceptions.ValidationError: INVALID_REQUEST,
    exceptions.ParseError: INVALID_REQUEST,
    exceptions.NotAuthenticated: ErrorResponse(
        HTTPStatus.UNAUTHORIZED, "unauthorized", "An access token is required."
    ),
    exceptions.AuthenticationFailed: INVALID_ACCESS_TOKEN,
    # From a view of a project that calls authx.api.authenticate_token.
    InvalidAccessTokenError: INVALID_ACCESS_TOKEN,
    exceptions.PermissionDenied: FORBIDDEN,
    PermissionDenied: FORBIDDEN,
    exceptions.NotFound: NOT_FOUND,
    Http404: NOT_FOUND,
    exceptions.MethodNotAllowed: ErrorResponse(
        HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", "The method is not supported."
    ),
    exceptions.UnsupportedMediaType: UNSUPPORTED_MEDIA_TYPE,
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
    """Return the response to an exception of a DRF view (the setting EXCEPTION_HANDLER).

    Exceptions of a project keep their status, code, words and headers.
    """
    # An error response is no exception to Django any more, which would roll back.
    set_rollback()
    error = as_drf_error(error)
    request = context.get("request")
    answer = _answer_to(error)
    if answer is None:
        answer = server_error_response(error)
        # For error reporters; DRF does not send this signal for a handled exception.
        raw_request = getattr(request, "_request", request)
        got_request_exception.send_robust(sender=None, request=raw_request)
    accepted = _accepted_types(error, request)
    if accepted and answer is UNSUPPORTED_MEDIA_TYPE:
        answer = answer._replace(description=f"{answer.description} Send {' or '.join(accepted)}.")
    _log(error, answer, request)
    response = Response(error_body(answer, fields=_fields(error, context)), status=answer.status)
    for name, value in {**dict(error_headers(answer)), **dict(own_headers(error))}.items():
        response[name] = value
    if accepted:
        # RFC 9110 section 15.5.16.
        response["Accept"] = ", ".join(accepted)
    return response


def _answer_to(error: Exception) -> ErrorResponse | None:
    """Return the response to an exception, with what is a project's own; None if unexpected."""
    if not isinstance(error, exceptions.APIException):
        return match_error(error)
    kinds: Any = [kind for kind in ERROR_RESPONSES if issubclass(kind, exceptions.APIException)]
    kind = next((kind for kind in kinds if isinstance(error, kind)), exceptions.APIException)
    return own_response(error, kind, ERROR_RESPONSES.get(kind, UNNAMED))


def match_error(error: BaseException | None) -> ErrorResponse | None:
    """Return the response to an exception, or None for an unexpected one."""
    return next((found for kind, found in ERROR_RESPONSES.items() if isinstance(error, kind)), None)


def server_error_response(error: BaseException | None) -> ErrorResponse:
    """Log an unexpected exception, and return a response with the request id of the log record."""
    request_id = current_context().request_id or uuid4().hex
    logger.error("request %s failed", request_id, exc_info=error)
    sentence = f"{SERVER_ERROR.description} Request id: {request_id}."
    return SERVER_ERROR._replace(description=sentence)


def _log(error: Exception, answer: ErrorResponse, request: Any) -> None:
    """Log the reason, which the response does not contain."""
    if answer is UNAVAILABLE and not isinstance(error, LateDuplicateError | OverloadedError):
        # Without traceback: an outage under load would fill the log with them.
        logger.error("temporarily unavailable, %s: %s", type(error).__name__, error)
    refusal = error.__cause__ if isinstance(error, exceptions.AuthenticationFailed) else error
    if isinstance(refusal, AuthxError):
        log_refusal(refusal)
    if isinstance(error, exceptions.PermissionDenied):
        # DRF's private name: its property would authenticate again, and fail again. A project's
        # user may be None, or have no primary key.
        user = getattr(request, "_user", None)
        log_event(ACCESS_DENIED, user_id=getattr(user, "pk", None))


def _accepted_types(error: Exception, request: Any) -> list[str]:
    """Return the media types that a view reads, if that is what the error is about."""
    if not isinstance(error, exceptions.UnsupportedMediaType):
        return []
    types = [parser.media_type for parser in getattr(request, "parsers", ())]
    return list(dict.fromkeys(one for one in types if one))


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
    if answer.status == HTTPStatus.TOO_MANY_REQUESTS:
        # In a project's own views too (RFC 6585 section 4); DRF has set Retry-After.
        yield "Cache-Control", "no-store"


def _fields(error: Exception, context: dict[str, Any]) -> dict[str, list[str]]:
    if isinstance(error, WrongPasswordError):
        return {"current_password": [gettext("This is not the current password.")]}
    if not isinstance(error, exceptions.APIException):
        return {}
    is_validation = isinstance(error, exceptions.ValidationError)
    detail = detail_of(error) if is_validation else own_extra_data(error)
    # The endpoints of authx have a name for it that no setting changes.
    view = context.get("view")
    key = getattr(view, "non_field_errors_key", api_settings.NON_FIELD_ERRORS_KEY)
    return fields_of(detail, non_field_key=key)
