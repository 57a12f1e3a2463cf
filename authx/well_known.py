"""The URL of the metadata, for a project to mount at `/.well-known/`."""

from typing import Final

from django.urls import re_path

from authx.rest.views.metadata import MetadataView

app_name = "authx_well_known"

PATH: Final = "oauth-authorization-server"

# The path of an issuer follows the well-known one (RFC 8414 section 3.1); described once.
urlpatterns = [
    re_path(rf"^{PATH}/?$", MetadataView.as_view(), name=PATH),
    re_path(rf"^{PATH}(?P<issuer_path>/.+)$", MetadataView.as_view(schema=None), name=PATH),
]
