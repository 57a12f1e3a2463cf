"""The user behind the token: who am I, sign out, change the password."""

from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from authx.context import current_context
from authx.models import RevocationReason
from authx.passwords.limits import current_password_limits, password_attempt
from authx.passwords.sign_in import change_password
from authx.rest.serializers import (
    LogoutAllSerializer,
    MeSerializer,
    PairSerializer,
    PasswordSerializer,
    RevokedSerializer,
    pair_body,
    session_body,
)
from authx.rest.views.base import (
    AuthxView,
    checked,
    current_session,
    discard_renewal,
    send_user_logged_out,
)
from authx.schema import BEARER, BODY, refusals
from authx.sessions.revoke import revoke_all, revoke_session


class MeView(AuthxView):
    @extend_schema(
        operation_id="me",
        summary="Who am I, on which session",
        responses={200: MeSerializer, **refusals(*BEARER)},
    )
    def get(self, request: Request, **_: Any) -> Response:
        session = current_session(request)
        return Response(
            {
                "id": str(session.user.pk),
                "username": session.user.get_username(),
                "session": session_body(session, session),
            }
        )


class LogoutView(AuthxView):
    @extend_schema(
        operation_id="logout",
        summary="End this session",
        request=None,
        responses={204: None, **refusals(*BEARER)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        session = current_session(request)
        if revoke_session(session=session, reason=RevocationReason.SIGNED_OUT):
            send_user_logged_out(request, request.user)
        return Response(status=HTTPStatus.NO_CONTENT)


class LogoutAllView(AuthxView):
    @extend_schema(
        operation_id="logout_all",
        summary="End every session, or every other one",
        request=LogoutAllSerializer,
        responses={200: RevokedSerializer, **refusals(*BODY, *BEARER)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        session = current_session(request)
        keep = session.pk if checked(LogoutAllSerializer, request)["keep_current"] else None
        count = revoke_all(
            user_id=session.user_id,
            reason=RevocationReason.SIGNED_OUT_EVERYWHERE,
            keep=keep,
            by=session,
        )
        if count and keep is None:
            send_user_logged_out(request, request.user)
        return Response({"revoked": count})


class PasswordView(AuthxView):
    @extend_schema(
        operation_id="change_password",
        summary="Change the password and end every other session",
        request=PasswordSerializer,
        responses={200: PairSerializer, **refusals(*BODY, *BEARER)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        passwords = checked(PasswordSerializer, request)
        with password_attempt(*current_password_limits(current_session(request))) as attempt:
            try:
                pair = change_password(
                    session=current_session(request),
                    current_password=passwords["current_password"],
                    new_password=passwords["new_password"],
                    source=current_context(),
                )
            except DjangoValidationError as error:
                # The present password was right: whoever looks for a new one may go on.
                attempt.succeed()
                raise ValidationError({"new_password": error.messages}) from error
            attempt.succeed()
        discard_renewal(request)
        return Response(pair_body(pair))
