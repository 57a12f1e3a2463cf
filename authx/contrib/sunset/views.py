"""Views of an older authentication scheme.

They are in a module of their own because DRF imports default authentication classes before its
views, so the module of the authentication class must not import views.
"""

from collections.abc import Sequence
from typing import Any, cast

from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.views import APIView

from authx.api import Device, open_session
from authx.contrib.sunset.authentication import SunsetAuthentication, announce_sunset
from authx.rest.serializers import DeviceSerializer, SignInPairSerializer
from authx.rest.views.base import AuthxView


class SunsetView(APIView):
    """A mixin for a view of the older scheme, such as its sign-in, which ends with it."""

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        announce_sunset(request)
        super().initial(request, *args, **kwargs)


class ExchangeSerializer(serializers.Serializer[Any]):
    device = DeviceSerializer(required=False)


class ExchangeView(AuthxView):
    """Opens a session for whoever has an old token, as a sign-in does.

    The old token stays valid: an app whose response was lost sends it again.
    """

    # Empty: those of DEFAULT_AUTHENTICATION_CLASSES that belong to the older scheme.
    authentication_classes: Sequence[Any] = ()
    serializer_class = ExchangeSerializer
    response_serializer_class = SignInPairSerializer

    def get_authenticators(self) -> list[Any]:
        defaults = cast("list[Any]", api_settings.DEFAULT_AUTHENTICATION_CLASSES)
        older = [one for one in defaults if issubclass(one, SunsetAuthentication)]
        return [one() for one in self.authentication_classes or older]

    def post(self, request: Request, **_: Any) -> Response:
        device = Device(**self.validate().get("device", {}))
        pair = open_session(user=cast("Any", request.user), request=request, device=device)
        return self.respond(pair)
