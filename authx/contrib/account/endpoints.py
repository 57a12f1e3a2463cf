"""The way back in for apps: ask for a mail, and exchange its token for a pair."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from rest_framework import serializers
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from authx.errors import InvalidRecoveryTokenError
from authx.passwords.recovery import recover, request_recovery
from authx.project import open_session
from authx.rest.serializers import (
    MAX_PASSWORD_LENGTH,
    MAX_TOKEN_LENGTH,
    MAX_USERNAME_LENGTH,
    DeviceSerializer,
    SignInPairSerializer,
    StrictCharField,
    UsernameField,
)
from authx.rest.views.base import PublicView
from authx.sessions.values import Device
from authx.throttling.classes import count_forged_token


class RecoverSerializer(serializers.Serializer[Any]):
    """A user name, or an address of mail."""

    username = UsernameField(max_length=MAX_USERNAME_LENGTH)


class RecoverConfirmSerializer(serializers.Serializer[Any]):
    token = StrictCharField(max_length=MAX_TOKEN_LENGTH, trim_whitespace=False)
    new_password = StrictCharField(max_length=MAX_PASSWORD_LENGTH, trim_whitespace=False)
    device = DeviceSerializer(required=False)


class RecoverEndpoint(PublicView):
    """Sends a mail with a link; the response does not say whether there is such an account."""

    serializer_class = RecoverSerializer

    def post(self, request: Request, **_: Any) -> Response:
        request_recovery(self.validate()["username"])
        return Response({}, status=HTTPStatus.ACCEPTED)


class RecoverConfirmEndpoint(PublicView):
    """Sets a password by the token of the link, and returns the pair of a session here."""

    serializer_class = RecoverConfirmSerializer
    response_serializer_class = SignInPairSerializer

    def post(self, request: Request, **_: Any) -> Response:
        body = self.validate()
        try:
            user = recover(raw_token=body["token"], new_password=body["new_password"])
        except InvalidRecoveryTokenError:
            count_forged_token()
            raise
        except DjangoValidationError as error:
            raise ValidationError({"new_password": error.messages}) from error
        device = Device(**body.get("device", {}))
        return self.respond(open_session(user=user, request=request, device=device))
