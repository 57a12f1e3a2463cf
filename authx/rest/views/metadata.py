"""The metadata of the authorization server (RFC 8414)."""

from typing import Any
from urllib.parse import unquote, urlsplit

from django.http import HttpRequest
from django.urls import NoReverseMatch, reverse
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from authx import conf
from authx.rest.views.base import PublicView


class MetadataSerializer(serializers.Serializer[Any]):
    """What an OAuth client can discover of this server (RFC 8414 section 2)."""

    # Every list with a default in the RFC is present, because the default would be wrong here. Only
    # `response_types_supported` is absent: section 2 requires it, but its list would be empty, and
    # section 3.2 forbids empty lists.

    issuer = serializers.URLField()
    token_endpoint = serializers.URLField()
    revocation_endpoint = serializers.URLField()
    grant_types_supported = serializers.ListField(child=serializers.CharField())
    token_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())
    revocation_endpoint_auth_methods_supported = serializers.ListField(
        child=serializers.CharField()
    )
    # Only where authx.contrib.introspection is mounted.
    introspection_endpoint = serializers.URLField(required=False)
    introspection_endpoint_auth_methods_supported = serializers.ListField(
        child=serializers.CharField(), required=False
    )


class MetadataView(PublicView):
    response_serializer_class = MetadataSerializer

    def get(self, request: Request, issuer_path: str = "", **_: Any) -> Response:
        issuer = issuer_for(request._request)
        parts = urlsplit(issuer)
        if unquote(parts.path) != issuer_path:
            raise NotFound
        origin = f"{parts.scheme}://{parts.netloc}"
        metadata = {
            "issuer": issuer,
            "token_endpoint": origin + reverse("authx:token"),
            "revocation_endpoint": origin + reverse("authx:revoke"),
            "grant_types_supported": ["refresh_token"],
            "token_endpoint_auth_methods_supported": ["none"],
            "revocation_endpoint_auth_methods_supported": ["none"],
        }
        return self.respond(metadata | _introspection(origin))


def issuer_for(request: HttpRequest) -> str:
    """Return AUTHX["ISSUER"], or the origin under which the client sent this request."""
    name: str = conf.authx_setting("ISSUER")
    return name or f"{request.scheme}://{request.get_host()}"


def _introspection(origin: str) -> dict[str, Any]:
    try:
        path = reverse("authx_introspection:introspect")
    except NoReverseMatch:
        return {}
    return {
        "introspection_endpoint": origin + path,
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
    }
