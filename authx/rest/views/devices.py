"""The devices of the current user: list, retrieve, rename, revoke."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.utils import timezone
from django.utils.translation import gettext
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from authx.models import DeviceSession, DeviceSessionQuerySet, EventKind
from authx.rest.serializers import DeviceChangeSerializer, SessionSerializer
from authx.rest.views.base import AuthxView, current_session, send_user_logged_out
from authx.sessions.revoke import revoke_session
from authx.sessions.update import update_device


class OwnDevicesView(AuthxView):
    """Serves the live sessions of the current user; any other one does not exist for it."""

    response_serializer_class = SessionSerializer

    def get_queryset(self) -> DeviceSessionQuerySet:
        user = current_session(self.request).user
        return DeviceSession.objects.live_for(user, timezone.now())

    def get_object(self) -> DeviceSession:
        try:
            session = self.filter_queryset(self.get_queryset()).get(pk=UUID(str(self.kwargs["id"])))
        except (ValueError, DeviceSession.DoesNotExist) as error:
            raise NotFound from error
        self.check_object_permissions(self.request, session)
        return session


class DevicesView(OwnDevicesView):
    def get(self, request: Request, **_: Any) -> Response:
        sessions = self.filter_queryset(self.get_queryset()).order_by(
            "-last_used_at", "-created_at"
        )
        return Response(self.get_response_serializer(sessions, many=True).data)


class DeviceView(OwnDevicesView):
    serializer_class = DeviceChangeSerializer

    def get(self, request: Request, **_: Any) -> Response:
        return self.respond(self.get_object())

    def patch(self, request: Request, **_: Any) -> Response:
        session = self.get_object()
        changes = self.validate()
        if "data" in changes and session.pk != current_session(request).pk:
            raise PermissionDenied(gettext("Only the device itself may change its data."))
        update_device(session=session, **changes)
        return self.respond(session)

    def delete(self, request: Request, **_: Any) -> Response:
        session = self.get_object()
        has_ended = revoke_session(session=session, reason=EventKind.ENDED_BY_USER)
        if has_ended and session.pk == current_session(request).pk:
            send_user_logged_out(request, request.user)
        return Response(status=HTTPStatus.NO_CONTENT)
