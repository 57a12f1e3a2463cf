"""What drf-spectacular cannot see by itself: the bearer scheme and the one error shape."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import OpenApiResponse

from authx.serializers import ErrorSerializer

REFUSALS = {
    400: "`invalid_request`, `invalid_grant` or `unsupported_grant_type`",
    401: "`unauthorized` or `invalid_token`, with `WWW-Authenticate`",
    404: "`not_found`",
    413: "`payload_too_large`",
    415: "`unsupported_media_type`",
    503: "`temporarily_unavailable`, with `Retry-After`",
}


def refusals(*statuses: int) -> dict[int, OpenApiResponse]:
    """Return the error answers of an operation, for `extend_schema(responses=...)`."""
    return {status: OpenApiResponse(ErrorSerializer, REFUSALS[status]) for status in statuses}


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes authx.authentication.TokenAuthentication; Knox's own extension is not inherited."""

    target_class = "authx.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:  # noqa: ARG002
        return {"type": "http", "scheme": "bearer"}
