"""A user's own devices: look, rename, end."""

from http import HTTPStatus
from typing import Any
from uuid import UUID

from django.utils import timezone
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from authx.models import DeviceSession, DeviceSessionQuerySet, RevocationReason
from authx.rest.serializers import RenameSerializer, SessionSerializer, session_body
from authx.rest.views.base import AuthxView, checked, current_session, send_user_logged_out
from authx.schema import BEARER, BODY, refusals
from authx.sessions.revoke import revoke_session
from authx.sessions.update import rename_session

DEVICE_ID = OpenApiParameter("id", OpenApiTypes.UUID, OpenApiParameter.PATH)


class DevicesView(AuthxView):
    @extend_schema(
        operation_id="devices",
        summary="My live sessions, newest use first",
        responses={200: SessionSerializer(many=True), **refusals(*BEARER)},
    )
    def get(self, request: Request, **_: Any) -> Response:
        current = current_session(request)
        sessions = _own_live(request).order_by("-last_used_at", "-created_at")
        return Response([session_body(session, current) for session in sessions])


class DeviceView(AuthxView):
    @extend_schema(
        operation_id="device",
        summary="One of my sessions",
        parameters=[DEVICE_ID],
        responses={200: SessionSerializer, **refusals("not_found", *BEARER)},
    )
    def get(self, request: Request, **path: Any) -> Response:
        session = _own_session(request, path["id"])
        return Response(session_body(session, current_session(request)))

    @extend_schema(
        operation_id="rename_device",
        summary="Rename one of my devices",
        parameters=[DEVICE_ID],
        request=RenameSerializer,
        responses={200: SessionSerializer, **refusals("not_found", *BODY, *BEARER)},
    )
    def patch(self, request: Request, **path: Any) -> Response:
        session = _own_session(request, path["id"])
        rename_session(session=session, name=checked(RenameSerializer, request)["name"])
        return Response(session_body(session, current_session(request)))

    @extend_schema(
        operation_id="end_device",
        summary="End one of my sessions",
        parameters=[DEVICE_ID],
        responses={204: None, **refusals("not_found", *BEARER)},
    )
    def delete(self, request: Request, **path: Any) -> Response:
        session = _own_session(request, path["id"])
        ended = revoke_session(session=session, reason=RevocationReason.ENDED_BY_USER)
        if ended and session.pk == current_session(request).pk:
            send_user_logged_out(request, request.user)
        return Response(status=HTTPStatus.NO_CONTENT)


def _own_live(request: Request) -> DeviceSessionQuerySet:
    return DeviceSession.objects.live_for(current_session(request).user, timezone.now())


def _own_session(request: Request, text: str) -> DeviceSession:
    """Return a live session of the user; anybody else's is as unknown as one that never was."""
    try:
        session = _own_live(request).filter(pk=UUID(text)).first()
    except ValueError:
        session = None
    if session is None:
        raise NotFound
    return session
