"""Pairs: sign in, refresh, revoke."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from authx.context import current_context
from authx.passwords.limits import password_attempt, sign_in_limits
from authx.passwords.sign_in import sign_in
from authx.rest.exceptions import (
    INVALID_CREDENTIALS,
    INVALID_REFRESH_TOKEN,
    UnsupportedGrantTypeError,
)
from authx.rest.serializers import (
    IDEMPOTENCY_KEY_PATTERN,
    ForeignTokenSerializer,
    LoginSerializer,
    PairSerializer,
    TokenSerializer,
    pair_body,
    unquoted,
)
from authx.rest.views.base import PublicView, checked, send_user_logged_out
from authx.schema import BODY, refusals
from authx.sessions.refresh import refresh_session
from authx.sessions.revoke import revoke_by_token
from authx.sessions.values import Device
from authx.throttling.classes import limit_token, refresh_limiter
from authx.tokens import TokenKind

IDEMPOTENCY_KEY = OpenApiParameter(
    "Idempotency-Key",
    str,
    OpenApiParameter.HEADER,
    pattern=IDEMPOTENCY_KEY_PATTERN,
    description="A random value, stored before the first try and sent with every try of this "
    "refresh: 16 to 128 visible ASCII characters.",
)


class LoginView(PublicView):
    @extend_schema(
        operation_id="login",
        summary="Sign in on a device",
        request=LoginSerializer,
        responses={200: PairSerializer, **refusals(INVALID_CREDENTIALS, *BODY)},
        auth=[],
    )
    def post(self, request: Request, **_: Any) -> Response:
        credentials = checked(LoginSerializer, request)
        username, device = credentials["username"], Device(**credentials.get("device", {}))
        with password_attempt(*sign_in_limits(username, device.installation_id)) as attempt:
            pair = sign_in(
                request=request._request,  # backends expect Django's own
                username=username,
                password=credentials["password"],
                device=device,
                source=current_context(),
            )
            attempt.succeed()
        return Response(pair_body(pair))


class TokenView(PublicView):
    # RFC 6749 section 6.

    @extend_schema(
        operation_id="refresh",
        summary="Exchange a refresh token for the next pair",
        request=TokenSerializer,
        parameters=[IDEMPOTENCY_KEY],
        responses={
            200: PairSerializer,
            **refusals(INVALID_REFRESH_TOKEN, "unsupported_grant_type", *BODY),
        },
        auth=[],
    )
    def post(self, request: Request, **_: Any) -> Response:
        body = request.data if isinstance(request.data, dict) else {}
        # Asked for first: with another grant, other fields than ours would be missing.
        if body.get("grant_type") not in ("refresh_token", None, ""):
            raise UnsupportedGrantTypeError
        grant = checked(TokenSerializer, request, **_key_of_header(request, body))
        pair = refresh_session(
            raw_token=grant["refresh_token"],
            idempotency_key=grant.get("idempotency_key", ""),
            source=current_context(),
            admit=refresh_limiter(grant["refresh_token"]),
        )
        return Response(pair_body(pair))


def _key_of_header(request: Request, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the idempotency key that came as a header, as the field it stands for."""
    header = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is None:
        return {}
    if unquoted(body.get("idempotency_key", header)) != unquoted(header):
        sentence = "The header Idempotency-Key says something else."
        raise ValidationError({"idempotency_key": [sentence]})
    return {"idempotency_key": header}


class RevokeView(PublicView):
    # RFC 7009; the same answer whether or not there was anything to revoke.

    @extend_schema(
        operation_id="revoke",
        summary="End the session of a token",
        request=ForeignTokenSerializer,
        responses={200: {"type": "object"}, **refusals(*BODY)},
        auth=[],
    )
    def post(self, request: Request, **_: Any) -> Response:
        raw_token = checked(ForeignTokenSerializer, request)["token"]
        limit_token(raw_token, TokenKind.REFRESH, TokenKind.ACCESS)
        user = revoke_by_token(raw_token=raw_token)
        if user is not None:
            send_user_logged_out(request, user)
        return Response({})
