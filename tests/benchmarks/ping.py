"""The smallest view that a project can protect."""

from django.urls import URLPattern, path
from rest_framework.authentication import BaseAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView
from rest_framework_simplejwt.authentication import JWTAuthentication


class PingView(APIView):
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response({})


def ping(route: str, authentication: type[BaseAuthentication]) -> URLPattern:
    """Return the view at an address, for whoever such a class authenticates."""
    return path(route, PingView.as_view(authentication_classes=[authentication]))


YARDSTICK = ping("yardstick/", JWTAuthentication)
