"""What the API description says of answers and of the bearer scheme."""

from collections import defaultdict
from typing import Any, Final

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
)
from drf_spectacular.utils import OpenApiExample, OpenApiResponse

from authx.rest.exceptions import ERROR_RESPONSES, SERVER_ERROR, ErrorResponse, error_body
from authx.rest.serializers import IDEMPOTENCY_KEY_PATTERN, VISIBLE, ErrorSerializer

# The first answer of a code is its example where an operation names no other.
ERROR_RESPONSE_BY_CODE: Final = {
    answer.code: answer for answer in (SERVER_ERROR, *reversed(ERROR_RESPONSES.values()))
}

# What any endpoint may answer, what one with a body may, and what one behind a bearer token may.
ANYWHERE: Final = ("rate_limited", "temporarily_unavailable", "server_error")
BODY: Final = ("invalid_request", "payload_too_large", "unsupported_media_type")
BEARER: Final = ("unauthorized", "invalid_token")

# What an app reads beside the body, by status: RFC 6750 section 3, RFC 9110 section 10.2.3.
CHALLENGE: Final = {
    "WWW-Authenticate": {
        "schema": {"type": "string"},
        "description": 'Bearer, with `error="invalid_token"` where a token was refused; or Basic.',
        "required": True,
    }
}
WAIT: Final = {
    "Retry-After": {
        "schema": {"type": "integer", "minimum": 1},
        "description": "Seconds to wait before the same request again.",
        "required": True,
    }
}
HEADERS: Final = {"401": CHALLENGE, "429": WAIT, "503": WAIT}
# On any answer to a bearer token (RFC 7615 section 3); shown where apps look for it.
RENEWAL: Final = {
    "Authentication-Info": {
        "schema": {"type": "string", "examples": ["expires_in=900"]},
        "description": "Only if this request renewed the access token: the seconds now left.",
    }
}


def refusals(*codes: str | ErrorResponse) -> dict[int, OpenApiResponse]:
    """Return the error answers of an operation, for `extend_schema(responses=...)`.

    A code stands for its usual sentence; an ErrorResponse brings a sentence of its own.
    """
    by_status = defaultdict(list)
    for code in (*codes, *ANYWHERE):
        answer = code if isinstance(code, ErrorResponse) else ERROR_RESPONSE_BY_CODE[code]
        by_status[int(answer.status)].append(answer)
    return {
        status: OpenApiResponse(
            ErrorSerializer,
            " or ".join(f"`{answer.code}`" for answer in answers),
            examples=[_example(answer) for answer in answers],
        )
        for status, answers in sorted(by_status.items())
    }


def _example(answer: ErrorResponse) -> OpenApiExample:
    fields = {"name": ["This field is required."]} if answer.code == "invalid_request" else None
    return OpenApiExample(answer.code, error_body(answer, fields=fields))


def without_trailing_slash(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show addresses as clients should write them; the slash at the end is optional."""
    result["paths"] = {path.rstrip("/"): item for path, item in result["paths"].items()}
    return result


def with_headers(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Add the headers that belong to a status, whichever operation answers it."""
    for item in result["paths"].values():
        for operation in item.values():
            for status, headers in HEADERS.items():
                if status in operation["responses"]:
                    operation["responses"][status] |= {"headers": headers}
            if {"bearer": []} in operation.get("security", []):
                for status in {"200", "204"} & set(operation["responses"]):
                    operation["responses"][status] |= {"headers": RENEWAL}
    return result


def with_error_codes(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Introduce the API by every error there is, also those that belong to no operation."""
    answers = sorted({*ERROR_RESPONSES.values(), SERVER_ERROR})
    rows = [
        f"| {answer.status.value} | `{answer.code}` | {answer.description} |" for answer in answers
    ]
    table = ["| status | `error` | `error_description` |", "|---|---|---|", *rows]
    result["info"]["description"] += "\n\n" + "\n".join(table)
    examples = {
        code: {"value": error_body(answer)}
        for code, answer in sorted(ERROR_RESPONSE_BY_CODE.items())
    }
    result["components"]["examples"] = examples
    return result


class ServiceScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes authx.rest.authentication.ServiceAuthentication."""

    target_class = "authx.rest.authentication.ServiceAuthentication"
    name = "service"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        return {
            "type": "http",
            "scheme": "basic",
            "description": "Id and secret of a service, as `manage.py create_service` told them.",
        }


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes TokenAuthentication; the extension of Knox does not apply to subclasses."""

    target_class = "authx.rest.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The `access_token` of the pair that `users/login` answered.",
        }


class IdempotencyKeyDescription(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Says how an idempotency key has to look, in the body as in the header."""

    target_class = "authx.rest.serializers.IdempotencyKeyField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:  # noqa: ARG002
        return {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN}


class LabelDescription(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Says of a label that has to be there that something of it has to be seen."""

    target_class = "authx.rest.serializers.LabelField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        described: dict[str, Any] = auto_schema._map_serializer_field(
            self.target, direction, bypass_extensions=True
        )
        return described if self.target.allow_blank else described | {"pattern": VISIBLE}
