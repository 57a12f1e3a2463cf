"""Token pairs: sign in, refresh, revoke."""

from collections.abc import Mapping
from functools import partial
from typing import Any

from django.utils.translation import gettext
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer

from authx.passwords.sign_in import sign_in
from authx.rest.exceptions import UnsupportedGrantTypeError
from authx.rest.serializers import (
    ForeignTokenSerializer,
    LoginSerializer,
    PairSerializer,
    SignInPairSerializer,
    TokenSerializer,
    unquoted,
)
from authx.rest.views.base import PublicView, send_user_logged_out
from authx.rest.waiting import time_waited
from authx.sessions.refresh import refresh_session
from authx.sessions.revoke import revoke_by_token
from authx.sessions.values import Device, TokenPair
from authx.throttling.classes import limit_token, refresh_limiter
from authx.tokens import TokenKind


class LoginView(PublicView):
    """Signs a person in by password.

    For other credentials, a subclass sets `serializer_class` and overrides `sign_in`.
    """

    serializer_class: type[BaseSerializer[Any]] = LoginSerializer
    response_serializer_class = SignInPairSerializer

    def post(self, request: Request, **_: Any) -> Response:
        return self.respond(self.sign_in(self.validate()))

    def sign_in(self, credentials: dict[str, Any]) -> TokenPair:
        """Return the pair of a new session, or raise; `credentials` is the validated body."""
        return sign_in(
            request=self.request._request,  # backends expect Django's own
            username=credentials["username"],
            password=credentials["password"],
            device=self.device_of(credentials),
        )

    def device_of(self, credentials: dict[str, Any]) -> Device:
        """Return the device that the body describes."""
        return Device(**credentials.get("device", {}))


class TokenView(PublicView):
    """Exchanges a refresh token for the next pair (RFC 6749 section 6)."""

    metadata_name = "token_endpoint"
    serializer_class = TokenSerializer
    response_serializer_class = PairSerializer

    def post(self, request: Request, **_: Any) -> Response:
        body = request.data if isinstance(request.data, dict) else {}
        # Before validation: with another grant type, other fields would be missing.
        if body.get("grant_type") not in ("refresh_token", None, ""):
            raise UnsupportedGrantTypeError
        grant = self.validate(**_key_from_header(request, body))
        pair = refresh_session(
            raw_token=grant["refresh_token"],
            idempotency_key=grant.get("idempotency_key", ""),
            check_limit=refresh_limiter(grant["refresh_token"]),
            waited=partial(time_waited, request._request),
        )
        return self.respond(pair)


def _key_from_header(request: Request, body: Mapping[str, Any]) -> dict[str, str]:
    """Return the idempotency key of the header as the field of the same name."""
    header = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if header is None:
        return {}
    if unquoted(body.get("idempotency_key", header)) != unquoted(header):
        sentence = gettext("This differs from the header Idempotency-Key.")
        raise ValidationError({"idempotency_key": [sentence]})
    return {"idempotency_key": header}


class RevokeView(PublicView):
    """Ends the session of a token (RFC 7009); the response does not say whether there was one."""

    metadata_name = "revocation_endpoint"
    serializer_class = ForeignTokenSerializer

    def post(self, request: Request, **_: Any) -> Response:
        raw_token = self.validate()["token"]
        limit_token(raw_token, TokenKind.REFRESH, TokenKind.ACCESS)
        user = revoke_by_token(raw_token=raw_token)
        if user is not None:
            send_user_logged_out(request, user)
        return Response({})
