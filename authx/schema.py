"""What drf-spectacular cannot see by itself: the bearer scheme and the one error shape."""

from collections import defaultdict
from typing import Any, Final

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse

from authx.handlers import ANSWERS
from authx.serializers import ErrorSerializer

STATUS_OF: Final = {answer.code: answer.status for answer in ANSWERS.values()}

# What any endpoint may answer, what one with a body may, and what one behind a bearer token may.
ANYWHERE: Final = ("temporarily_unavailable",)
BODY: Final = ("invalid_request", "payload_too_large", "unsupported_media_type")
BEARER: Final = ("unauthorized", "invalid_token")


def refusals(*codes: str) -> dict[int, OpenApiResponse]:
    """Return the error answers of an operation, for `extend_schema(responses=...)`."""
    by_status = defaultdict(list)
    for code in (*codes, *ANYWHERE):
        by_status[int(STATUS_OF[code])].append(f"`{code}`")
    return {
        status: OpenApiResponse(ErrorSerializer, " or ".join(named))
        for status, named in sorted(by_status.items())
    }


def without_trailing_slash(result: dict[str, Any], **_: Any) -> dict[str, Any]:
    """Show addresses as clients should write them; the slash at the end is optional."""
    result["paths"] = {path.rstrip("/"): item for path, item in result["paths"].items()}
    return result


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes authx.authentication.TokenAuthentication; Knox's own extension is not inherited."""

    target_class = "authx.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer"}
