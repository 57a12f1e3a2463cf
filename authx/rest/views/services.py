"""What other services ask: is this token live, and whose is it."""

from collections.abc import Sequence
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from authx.rest.authentication import ServiceAuthentication
from authx.rest.parsers import StrictFormParser, StrictJSONParser
from authx.rest.serializers import (
    ForeignTokenSerializer,
    IntrospectionSerializer,
    introspection_body,
)
from authx.rest.views.base import AuthxView, checked
from authx.schema import BODY, refusals
from authx.sessions.use import introspect_access_token
from authx.throttling.classes import ServiceThrottle


class IntrospectView(AuthxView):
    # RFC 7662. What is not a live access token is told apart from nothing else.

    authentication_classes: Sequence[Any] = (ServiceAuthentication,)
    parser_classes: Sequence[Any] = (StrictJSONParser, StrictFormParser)
    throttle_classes: Sequence[Any] = (ServiceThrottle,)

    @extend_schema(
        operation_id="introspect",
        summary="Ask, as another service, whether an access token is live",
        request=ForeignTokenSerializer,
        responses={200: IntrospectionSerializer, **refusals("invalid_client", *BODY)},
    )
    def post(self, request: Request, **_: Any) -> Response:
        raw_token = checked(ForeignTokenSerializer, request)["token"]
        return Response(introspection_body(introspect_access_token(raw_token=raw_token)))
