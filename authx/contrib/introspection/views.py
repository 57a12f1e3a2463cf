"""The introspection endpoint (RFC 7662): is this access token live, and whose is it."""

from collections.abc import Sequence
from typing import Any

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from authx.contrib.introspection.authentication import ServiceAuthentication, ServiceThrottle
from authx.rest.parsers import StrictFormParser, StrictJSONParser
from authx.rest.serializers import ForeignTokenSerializer, TimestampField
from authx.rest.views.base import AuthxView
from authx.sessions.use import introspect_access_token


class IntrospectionSerializer(serializers.Serializer[Any]):
    """The response of RFC 7662 section 2.2: a LiveToken, or `active` alone."""

    active = serializers.BooleanField()
    sub = serializers.CharField(source="session.user.pk", required=False)
    username = serializers.CharField(source="session.user.get_username", required=False)
    token_type = serializers.ChoiceField(choices=["Bearer"], required=False)
    iat = TimestampField(source="issued_at", required=False)
    exp = TimestampField(source="expires_at", required=False)
    auth_time = TimestampField(source="session.authenticated_at", required=False)
    device_id = serializers.UUIDField(source="session.pk", required=False)


class IntrospectView(AuthxView):
    """Anything but a live access token is inactive, whatever else it may be."""

    metadata_name = "introspection_endpoint"
    authentication_classes: Sequence[Any] = (ServiceAuthentication,)
    parser_classes: Sequence[Any] = (StrictJSONParser, StrictFormParser)
    throttle_classes: Sequence[Any] = (ServiceThrottle,)
    serializer_class = ForeignTokenSerializer
    response_serializer_class = IntrospectionSerializer

    def post(self, request: Request, **_: Any) -> Response:
        live = introspect_access_token(raw_token=self.validate()["token"])
        return self.respond(live or {"active": False})
