"""The description of authx.contrib.introspection; imported only where that app is installed."""

from typing import Any

from drf_spectacular.extensions import OpenApiAuthenticationExtension

from authx.contrib.introspection.views import IntrospectView
from authx.contrib.openapi.operations import OPERATIONS, PREFIX, Operation
from authx.contrib.openapi.responses import BODY

OPERATIONS[IntrospectView] = {
    "post": Operation(
        "introspect",
        "Introspect an access token",
        "RFC 7662, for other services. Anything but a live access token is inactive.",
        ("invalid_client", *BODY),
    ),
}


class ServiceScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes ServiceAuthentication."""

    target_class = "authx.contrib.introspection.authentication.ServiceAuthentication"
    name = f"{PREFIX}_service"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "basic",
            "description": "The id and the secret that `manage.py create_service` printed.",
        }
