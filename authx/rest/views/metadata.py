"""The metadata of the authorization server (RFC 8414)."""

from typing import Any, Final
from urllib.parse import unquote, urlsplit

from django.http import HttpRequest
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from authx import conf
from authx.rest.endpoints import metadata_paths
from authx.rest.views.base import PublicView

# Without it, there is no server to describe.
REQUIRED: Final = "token_endpoint"
# How a client authenticates; at the others, the token in the body does.
AUTH_METHODS: Final = {"introspection_endpoint": "client_secret_basic"}


class MetadataSerializer(serializers.Serializer[Any]):
    """What an OAuth client can discover of this server (RFC 8414 section 2)."""

    # Every list with a default in the RFC is present, because the default would be wrong here. Only
    # `response_types_supported` is absent: section 2 requires it, but its list would be empty, and
    # section 3.2 forbids empty lists.

    issuer = serializers.URLField()
    token_endpoint = serializers.URLField()
    revocation_endpoint = serializers.URLField(required=False)
    grant_types_supported = serializers.ListField(child=serializers.CharField())
    token_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())
    revocation_endpoint_auth_methods_supported = serializers.ListField(
        child=serializers.CharField(), required=False
    )
    # Only where a project has mounted it.
    introspection_endpoint = serializers.URLField(required=False)
    introspection_endpoint_auth_methods_supported = serializers.ListField(
        child=serializers.CharField(), required=False
    )


class MetadataView(PublicView):
    is_public_data = True
    response_serializer_class = MetadataSerializer

    def get(self, request: Request, issuer_path: str = "", **_: Any) -> Response:
        issuer = issuer_for(request._request)
        parts = urlsplit(issuer)
        paths = metadata_paths()
        if unquote(parts.path) != issuer_path or REQUIRED not in paths:
            raise NotFound
        origin = f"{parts.scheme}://{parts.netloc}"
        metadata: dict[str, Any] = {"issuer": issuer, "grant_types_supported": ["refresh_token"]}
        for name, path in paths.items():
            metadata[name] = origin + path
            metadata[f"{name}_auth_methods_supported"] = [AUTH_METHODS.get(name, "none")]
        return self.respond(metadata)


def issuer_for(request: HttpRequest) -> str:
    """Return AUTHX["ISSUER"], or the origin under which the client sent this request."""
    name: str = conf.authx_setting("ISSUER")
    return name or f"{request.scheme}://{request.get_host()}"
