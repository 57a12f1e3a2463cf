"""The error responses of an operation, and the headers that belong to a status."""

from collections import defaultdict
from typing import Any, Final

from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from authx.rest.exceptions import ERROR_RESPONSES, SERVER_ERROR, ErrorResponse, error_body
from authx.rest.serializers import ErrorSerializer

# The first response of a code is its example unless an operation names another one.
ERROR_RESPONSE_BY_CODE: Final = {
    response.code: response for response in (SERVER_ERROR, *reversed(ERROR_RESPONSES.values()))
}

# The errors of every endpoint, of one with a body, and of one with a bearer token.
ANYWHERE: Final = ("rate_limited", "temporarily_unavailable", "server_error")
BODY: Final = ("invalid_request", "payload_too_large", "unsupported_media_type")
BEARER: Final = ("unauthorized", "invalid_token")

# What an app reads beside the body: RFC 6750 section 3, RFC 9110 sections 10.2.3 and
# 15.5.16.
CHALLENGE: Final = {
    "WWW-Authenticate": {
        "schema": {"type": "string"},
        "description": 'Bearer, with `error="invalid_token"` if a token was refused; or Basic.',
        "required": True,
    }
}
WAIT: Final = {
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 1},
        "description": "Seconds to wait before sending the same request again.",
        "required": True,
    }
}
ACCEPTED: Final = {
    "Accept": {
        "schema": {"type": "string", "examples": ["application/json"]},
        "description": "The media types that this endpoint reads.",
        "required": True,
    }
}
HEADERS: Final = {"401": CHALLENGE, "415": ACCEPTED, "429": WAIT, "503": WAIT}
# On any response to a bearer token (RFC 7615 section 3).
RENEWAL: Final = {
    "Authentication-Info": {
        "schema": {"type": "string", "examples": ["expires_in=900"]},
        "description": "Present if this request renewed the access token: its seconds left.",
    }
}


def error_responses(*codes: str | ErrorResponse) -> dict[int, OpenApiResponse]:
    """Return the error responses of an operation, for `extend_schema(responses=...)`.

    A code stands for its usual sentence; an ErrorResponse has a sentence of its own.
    """
    by_status = defaultdict(list)
    for code in (*codes, *ANYWHERE):
        response = code if isinstance(code, ErrorResponse) else ERROR_RESPONSE_BY_CODE[code]
        by_status[int(response.status)].append(response)
    return {
        status: OpenApiResponse(
            ErrorSerializer,
            " or ".join(f"`{response.code}`" for response in responses),
            examples=[_example(response) for response in responses],
        )
        for status, responses in sorted(by_status.items())
    }


def _example(response: ErrorResponse) -> OpenApiExample:
    fields: dict[str, Any] | None = None
    if response.code == "invalid_request":
        fields = {"name": ["This field is required."]}
    return OpenApiExample(response.code, error_body(response, fields=fields))
