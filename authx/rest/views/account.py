"""The current user: account, sign-out, password and security events."""

from datetime import UTC
from http import HTTPStatus
from typing import Any

from django.core.exceptions import ValidationError as DjangoValidationError
from django.db.models import QuerySet
from django.utils.dateparse import parse_datetime
from django.utils.translation import gettext
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from authx.models import EventKind, SecurityEvent
from authx.passwords.sign_in import change_password, reauthenticate
from authx.rest.serializers import (
    AuthenticationTimeSerializer,
    EventSerializer,
    LogoutAllResponseSerializer,
    LogoutAllSerializer,
    MeSerializer,
    PasswordSerializer,
    ReauthenticateSerializer,
    SignInPairSerializer,
)
from authx.rest.views.base import (
    AuthxView,
    current_session,
    discard_renewal,
    send_user_logged_out,
)
from authx.sessions.revoke import revoke_all, revoke_session


class MeView(AuthxView):
    response_serializer_class = MeSerializer

    def get(self, request: Request, **_: Any) -> Response:
        return self.respond(current_session(request))


class LogoutView(AuthxView):
    def post(self, request: Request, **_: Any) -> Response:
        if revoke_session(session=current_session(request), reason=EventKind.SIGNED_OUT):
            send_user_logged_out(request, request.user)
        return Response(status=HTTPStatus.NO_CONTENT)


class LogoutAllView(AuthxView):
    serializer_class = LogoutAllSerializer
    response_serializer_class = LogoutAllResponseSerializer

    def post(self, request: Request, **_: Any) -> Response:
        session = current_session(request)
        keep = session.pk if self.validate()["keep_current"] else None
        count = revoke_all(
            user_id=session.user_id, reason=EventKind.SIGNED_OUT_EVERYWHERE, keep=keep, by=session
        )
        if count and keep is None:
            send_user_logged_out(request, request.user)
        return self.respond({"revoked": count})


class PasswordView(AuthxView):
    serializer_class = PasswordSerializer
    response_serializer_class = SignInPairSerializer

    def post(self, request: Request, **_: Any) -> Response:
        passwords = self.validate()
        try:
            pair = change_password(session=current_session(request), **passwords)
        except DjangoValidationError as error:
            raise ValidationError({"new_password": error.messages}) from error
        discard_renewal(request)
        return self.respond(pair)


class ReauthenticateView(AuthxView):
    """Renews the proof that the user is present, which RecentSignIn asks for."""

    serializer_class = ReauthenticateSerializer
    response_serializer_class = AuthenticationTimeSerializer

    def post(self, request: Request, **_: Any) -> Response:
        session = current_session(request)
        reauthenticate(session=session, **self.validate())
        return self.respond(session)


class ActivityPagination(CursorPagination):
    """Pages by time instead of by number, so that new events move no page."""

    page_size = 50
    ordering = ("-created_at", "-pk")

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        # DRF's own has no word for null in OpenAPI 3.1.
        link = {"type": ["string", "null"], "format": "uri"}
        return {
            "type": "object",
            "required": ["next", "previous", "results"],
            "properties": {"next": link, "previous": link, "results": schema},
        }

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor: Cursor | None = super().decode_cursor(request)
            if cursor and cursor.position is not None:
                _require_instant(str(cursor.position))
        except (NotFound, ValueError, OverflowError) as error:
            raise ValidationError(
                {"cursor": [gettext("This is not a cursor of this server.")]}
            ) from error
        return cursor


def _require_instant(text: str) -> None:
    """Raise ValueError or OverflowError for a position that DRF would pass to the database."""
    at = parse_datetime(text)
    if at is None or at.tzinfo is None:
        raise ValueError("not an instant")
    at.astimezone(UTC)


class ActivityView(AuthxView):
    response_serializer_class = EventSerializer
    pagination_class = ActivityPagination

    def get_queryset(self) -> QuerySet[SecurityEvent]:
        return SecurityEvent.objects.filter(user_id=current_session(self.request).user_id)

    def get(self, request: Request, **_: Any) -> Response:
        events = self.filter_queryset(self.get_queryset())
        page = self.paginate_queryset(events)
        if page is None:
            return Response(self.get_response_serializer(events, many=True).data)
        return self.get_paginated_response(self.get_response_serializer(page, many=True).data)
