"""The operations of the API: what each is for, and how it can fail."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any, Final, NamedTuple

from drf_spectacular.drainage import isolate_view_method
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.views import APIView

from authx.contrib.openapi.responses import BEARER, BODY, error_responses
from authx.rest.exceptions import INVALID_CREDENTIALS, INVALID_REFRESH_TOKEN, ErrorResponse
from authx.rest.views import account, devices, metadata, tokens
from authx.rest.views.base import AuthxView

# Of every name in a description, where a project may have a `Device` and a `login` of its own.
PREFIX: Final = "authx"
# JSON Schema cannot say "both quotes or none", so without quotes.
IDEMPOTENCY_KEY_PATTERN: Final = r"^[!#-~]{16,128}$"
IDEMPOTENCY_KEY: Final = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    pattern=IDEMPOTENCY_KEY_PATTERN,
    description="A random value, stored before the first attempt and sent with every attempt of "
    "this refresh: 16 to 128 visible ASCII characters.",
)
DEVICE_ID: Final = OpenApiParameter(
    "id", OpenApiTypes.UUID, OpenApiParameter.PATH, description="The `device.id` of a pair."
)
CURSOR: Final = OpenApiParameter(
    "cursor", str, description="From `next` or `previous` of another page."
)


class Operation(NamedTuple):
    """One method of a view; with PREFIX, `operation_id` names it for generated clients."""

    operation_id: str
    summary: str
    description: str
    errors: Sequence[str | ErrorResponse] = ()
    parameters: Sequence[OpenApiParameter] = ()
    is_list: bool = False
    status: HTTPStatus = HTTPStatus.OK


OPERATIONS: Final[dict[type[AuthxView], dict[str, Operation]]] = {
    tokens.LoginView: {
        "post": Operation(
            "login",
            "Sign in on a device",
            "Opens a device session and returns its first pair. It replaces the session of the "
            "same `installation_id`. Send the `device_credential` of an earlier sign-in as "
            "`device.credential`: without it, the device is new.",
            (INVALID_CREDENTIALS, *BODY),
        ),
    },
    tokens.TokenView: {
        "post": Operation(
            "refresh",
            "Exchange a refresh token for the next pair",
            "RFC 6749 section 6. Repeat the same request if its response is lost: it returns the "
            "same refresh token. Only `invalid_grant` signs the app out.",
            (INVALID_REFRESH_TOKEN, "unsupported_grant_type", *BODY),
            [IDEMPOTENCY_KEY],
        ),
    },
    tokens.RevokeView: {
        "post": Operation(
            "revoke",
            "Revoke the session of a token",
            "RFC 7009. Accepts an access or a refresh token; the response does not say whether "
            "there was a session.",
            BODY,
        ),
    },
    account.MeView: {
        "get": Operation(
            "me", "Current user and device", "Returns the user and device of the token.", BEARER
        ),
    },
    account.LogoutView: {
        "post": Operation(
            "logout",
            "Revoke this session",
            "Signs this device out.",
            BEARER,
            status=HTTPStatus.NO_CONTENT,
        ),
    },
    account.LogoutAllView: {
        "post": Operation(
            "logout_all",
            "Revoke all sessions",
            "Signs all devices of the user out, or all but this one with `keep_current`.",
            (*BODY, *BEARER),
        ),
    },
    account.PasswordView: {
        "post": Operation(
            "change_password",
            "Change the password",
            "Revokes every session of the user and returns the pair of a new one on this device.",
            (*BODY, *BEARER),
        ),
    },
    account.ReauthenticateView: {
        "post": Operation(
            "reauthenticate",
            "Enter the password again",
            "Lets this session do what asks for a recent sign-in (RFC 9470). The tokens stay the "
            "same.",
            (*BODY, *BEARER),
        ),
    },
    account.ActivityView: {
        "get": Operation(
            "activity",
            "Own security events",
            "Returns the security events of the user, the newest first.",
            ("invalid_request", *BEARER),
            [CURSOR],
            is_list=True,
        ),
    },
    devices.DevicesView: {
        "get": Operation(
            "devices",
            "Own devices",
            "Returns the live devices of the user, the most recently used first.",
            BEARER,
            is_list=True,
        ),
    },
    devices.DeviceView: {
        "get": Operation(
            "device",
            "Retrieve a device",
            "Returns a live device of the user.",
            ("not_found", *BEARER),
            [DEVICE_ID],
        ),
        "patch": Operation(
            "change_device",
            "Change a device",
            "Stores the name that the user gives a device, and `data` of the device itself; what "
            "is missing stays as it is. For `data` of another device, the response is 403.",
            ("not_found", *BODY, *BEARER),
            [DEVICE_ID],
        ),
        "delete": Operation(
            "revoke_device",
            "Revoke a device",
            "Signs a device out.",
            ("not_found", *BEARER),
            [DEVICE_ID],
            status=HTTPStatus.NO_CONTENT,
        ),
    },
    metadata.MetadataView: {
        "get": Operation(
            "metadata", "Authorization server metadata", "RFC 8414, for OAuth client libraries."
        ),
    },
}


def described(view: type[APIView]) -> type[APIView]:
    """Return a subclass of a view whose methods carry their description."""
    known = next((one for one in view.__mro__ if one in OPERATIONS), None)
    if known is None:
        return view
    replacement = type(view.__name__, (view,), {})
    for method, operation in OPERATIONS[known].items():
        # A function of its own: described again and again, that of the view would become slower
        # each time, and fail in the end.
        own = isolate_view_method(replacement, method)  # type: ignore[no-untyped-call]
        _described(operation, view, method)(own)
    return replacement


def _described(operation: Operation, view: Any, method: str) -> Any:
    """Return the decorator of a method."""
    rendered = view.response_serializer_class
    if operation.status == HTTPStatus.NO_CONTENT:
        rendered = None
    elif rendered is None:
        rendered = {"type": "object"}
    elif operation.is_list:
        rendered = rendered(many=True)
    return extend_schema(
        operation_id=f"{PREFIX}_{operation.operation_id}",
        summary=operation.summary,
        description=operation.description,
        parameters=list(operation.parameters),
        request=view.serializer_class if method in {"post", "patch"} else None,
        responses={int(operation.status): rendered, **error_responses(*operation.errors)},
        auth=None if view.authentication_classes else [],
        tags=["users"],
    )
