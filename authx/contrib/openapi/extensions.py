"""Extensions of drf-spectacular: how it describes the views, schemes and fields of authx."""

from typing import Any, Final

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from rest_framework.views import APIView

from authx.contrib.openapi.operations import IDEMPOTENCY_KEY_PATTERN, described

# A character that is neither invisible, nor a bidirectional control, nor a blank.
VISIBLE: Final = (
    r"[^\x00-\x20\x7f-\xa0\u061c\u1680\u2000-\u200a\u200e\u200f"
    r"\u2028-\u202f\u205f\u2066-\u2069\u3000]"
)


class AuthxViewExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Describes the views of authx and a project's subclasses of them."""

    target_class = "authx.rest.views.base.AuthxView"
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        return described(self.target)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes TokenAuthentication; the extension of Knox does not apply to subclasses."""

    target_class = "authx.rest.authentication.TokenAuthentication"
    name = "bearer"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        return {
            "type": "http",
            "scheme": "bearer",
            "description": "The `access_token` of a pair.",
        }


class IdempotencyKeyDescription(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Describes the format of an idempotency key."""

    target_class = "authx.rest.serializers.IdempotencyKeyField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "string", "pattern": IDEMPOTENCY_KEY_PATTERN}


class LabelDescription(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Describes that a required label contains a visible character."""

    target_class = "authx.rest.serializers.LabelField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        described: dict[str, Any] = auto_schema._map_serializer_field(
            self.target, direction, bypass_extensions=True
        )
        return described if self.target.allow_blank else described | {"pattern": VISIBLE}
