"""What OAuth clients may know of this server."""

from typing import Any
from urllib.parse import unquote, urlsplit

from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.exceptions import NotFound
from rest_framework.request import Request
from rest_framework.response import Response

from authx.issuer import issuer_for
from authx.rest.views.base import PublicView
from authx.schema import refusals


class MetadataSerializer(serializers.Serializer[Any]):
    """What OAuth clients may know of this server (RFC 8414 section 2)."""

    issuer = serializers.URLField()
    token_endpoint = serializers.URLField()
    revocation_endpoint = serializers.URLField()
    introspection_endpoint = serializers.URLField()
    grant_types_supported = serializers.ListField(child=serializers.CharField())
    token_endpoint_auth_methods_supported = serializers.ListField(child=serializers.CharField())
    revocation_endpoint_auth_methods_supported = serializers.ListField(
        child=serializers.CharField()
    )
    introspection_endpoint_auth_methods_supported = serializers.ListField(
        child=serializers.CharField()
    )


class MetadataView(PublicView):
    # RFC 8414. A list that is left out has a default there, which would be a lie here: each is
    # told. `response_types_supported` is not: required by section 2, its list would be empty, and
    # those must be left out by section 3.2.

    @extend_schema(
        operation_id="metadata",
        summary="What an OAuth client finds out by itself",
        responses={200: MetadataSerializer, **refusals()},
        auth=[],
        tags=["users"],
    )
    def get(self, request: Request, issuer_path: str = "", **_: Any) -> Response:
        issuer = issuer_for(request._request)
        parts = urlsplit(issuer)
        if unquote(parts.path) != issuer_path:
            raise NotFound
        origin = f"{parts.scheme}://{parts.netloc}"
        return Response(
            {
                "issuer": issuer,
                "token_endpoint": origin + reverse("authx:token"),
                "revocation_endpoint": origin + reverse("authx:revoke"),
                "introspection_endpoint": origin + reverse("authx:introspect"),
                "grant_types_supported": ["refresh_token"],
                "token_endpoint_auth_methods_supported": ["none"],
                "revocation_endpoint_auth_methods_supported": ["none"],
                "introspection_endpoint_auth_methods_supported": ["client_secret_basic"],
            }
        )
