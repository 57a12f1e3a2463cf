"""What Django answers outside of any view, in the one shape of every refusal."""

import sys

from django.http import HttpRequest, JsonResponse
from rest_framework.exceptions import Throttled

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


def plain(answer: ErrorResponse) -> JsonResponse:
    """Return an answer that no renderer of DRF's has to write."""
    headers = {"Cache-Control": "no-store", **dict(error_headers(answer))}
    return JsonResponse(error_body(answer), status=answer.status, headers=headers)


def rate_limited(error: Throttled) -> JsonResponse:
    """Return what DRF's own handler answers inside its views."""
    response = plain(RATE_LIMITED)
    response["Retry-After"] = str(error.wait)  # type: ignore[attr-defined]  # not in the stubs
    return response


def bad_request(request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001
    return plain(match_error(exception) or INVALID_REQUEST)


def permission_denied(request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001
    return plain(FORBIDDEN)


def page_not_found(request: HttpRequest, exception: Exception) -> JsonResponse:  # noqa: ARG001
    return plain(NOT_FOUND)


def server_error(request: HttpRequest) -> JsonResponse:  # noqa: ARG001
    # Django calls this while it handles the exception; a database away is no fault of ours here
    # either.
    error = sys.exception()
    return plain(match_error(error) or server_error_response(error))
