"""A user's own trail."""

from datetime import UTC
from typing import Any

from django.utils.dateparse import parse_datetime
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request
from rest_framework.response import Response

from authx.models import SecurityEvent
from authx.rest.serializers import ActivitySerializer, EventSerializer
from authx.rest.views.base import AuthxView, current_session
from authx.schema import BEARER, refusals

CURSOR = OpenApiParameter("cursor", str, description="Of `next` or `previous` of another page.")


class ActivityPagination(CursorPagination):
    """By time and not by number: what comes in meanwhile moves no page."""

    page_size = 50
    ordering = ("-created_at", "-pk")

    def decode_cursor(self, request: Request) -> Cursor | None:
        try:
            cursor: Cursor | None = super().decode_cursor(request)
            if cursor and cursor.position is not None:
                _require_instant(str(cursor.position))
        except (NotFound, ValueError, OverflowError) as error:
            raise ValidationError({"cursor": ["This is no cursor of ours."]}) from error
        return cursor


def _require_instant(text: str) -> None:
    """Raise ValueError or OverflowError for what DRF would hand to the database as it comes."""
    at = parse_datetime(text)
    if at is None or at.tzinfo is None:
        raise ValueError("no instant")
    at.astimezone(UTC)


class ActivityView(AuthxView):
    @extend_schema(
        operation_id="activity",
        summary="What happened to my account, newest first",
        parameters=[CURSOR],
        responses={200: ActivitySerializer, **refusals("invalid_request", *BEARER)},
    )
    def get(self, request: Request, **_: Any) -> Response:
        session = current_session(request)
        events = SecurityEvent.objects.filter(user_id=session.user_id)
        pages = ActivityPagination()
        page = pages.paginate_queryset(events, request, view=self)
        context = {"current_id": session.pk}
        shown = EventSerializer(page, many=True, context=context)
        return pages.get_paginated_response(shown.data)
