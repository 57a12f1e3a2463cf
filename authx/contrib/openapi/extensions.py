"""Extensions of drf-spectacular: how it describes the views, schemes and fields of authx."""

from typing import Any, Final

from drf_spectacular.extensions import (
    OpenApiAuthenticationExtension,
    OpenApiSerializerExtension,
    OpenApiSerializerFieldExtension,
    OpenApiViewExtension,
)
from rest_framework.serializers import Serializer
from rest_framework.views import APIView

from authx.contrib.openapi.operations import IDEMPOTENCY_KEY_PATTERN, PREFIX, described

# A character that is neither invisible, nor a bidirectional control, nor a blank.
VISIBLE: Final = (
    r"[^\x00-\x20\x7f-\xa0\u061c\u1680\u2000-\u200a\u200e\u200f"
    r"\u2028-\u202f\u205f\u2066-\u2069\u3000]"
)
# A character that is left when blanks at the ends are removed, as Python does.
NOT_BLANK: Final = r"[^\x09-\x0d\x1c-\x20\x85\xa0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000]"


class AuthxViewExtension(OpenApiViewExtension):  # type: ignore[no-untyped-call]
    """Describes the views of authx and a project's subclasses of them."""

    target_class = "authx.rest.views.base.AuthxView"
    match_subclasses = True

    def view_replacement(self) -> type[APIView]:
        return described(self.target)


class SerializerName(OpenApiSerializerExtension):  # type: ignore[no-untyped-call]
    """Names the serializers of authx so that none is called like one of a project.

    A project's subclass is named by its own class.
    """

    target_class = Serializer
    # After an extension of a project for one of them.
    priority = -1

    @classmethod
    def _matches(cls, target: Any) -> bool:
        kind = _class_of(target)
        return issubclass(kind, Serializer) and kind.__module__.startswith("authx.")

    def get_name(self, auto_schema: Any, direction: Any) -> str:
        return PREFIX.capitalize() + _class_of(self.target).__name__

    def map_serializer(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        described: dict[str, Any] = auto_schema._map_serializer(
            self.target, direction, bypass_extensions=True
        )
        return described


def _class_of(target: Any) -> type:
    # drf-spectacular accepts both.
    return target if isinstance(target, type) else type(target)


class BearerScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Describes TokenAuthentication; the extension of Knox does not apply to subclasses."""

    target_class = "authx.rest.authentication.TokenAuthentication"
    name = f"{PREFIX}_bearer"

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


class UsernameDescription(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Describes that a name is more than blanks."""

    target_class = "authx.rest.serializers.UsernameField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        described: dict[str, Any] = auto_schema._map_serializer_field(
            self.target, direction, bypass_extensions=True
        )
        return described | {"pattern": NOT_BLANK}


class LabelDescription(OpenApiSerializerFieldExtension):  # type: ignore[no-untyped-call]
    """Describes that a required label contains a visible character."""

    target_class = "authx.rest.serializers.LabelField"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        described: dict[str, Any] = auto_schema._map_serializer_field(
            self.target, direction, bypass_extensions=True
        )
        return described if self.target.allow_blank else described | {"pattern": VISIBLE}
