"""Django's error views, with JSON error responses."""

import sys
from math import ceil

from django.http import HttpRequest, JsonResponse

from authx.rest.exceptions import (
    FORBIDDEN,
    INVALID_REQUEST,
    NOT_FOUND,
    RATE_LIMITED,
    ErrorResponse,
    error_body,
    error_headers,
    match_error,
    server_error_response,
)


def json_error(error: ErrorResponse) -> JsonResponse:
    """Return an error response without a renderer of DRF."""
    headers = {"Cache-Control": "no-store", **dict(error_headers(error))}
    return JsonResponse(error_body(error), status=error.status, headers=headers)


def rate_limited(wait: float | None) -> JsonResponse:
    """Return the response to an exceeded rate limit; `wait` is in seconds."""
    response = json_error(RATE_LIMITED)
    if wait is not None:
        response["Retry-After"] = str(ceil(wait))
    return response


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:
    return json_error(match_error(exception) or INVALID_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:
    return json_error(FORBIDDEN)


def page_not_found(request: HttpRequest, exception: Exception) -> JsonResponse:
    return json_error(NOT_FOUND)


def server_error(request: HttpRequest) -> JsonResponse:
    # Django calls this while it handles the exception, which may be an unavailable database.
    error = sys.exception()
    return json_error(match_error(error) or server_error_response(error))
