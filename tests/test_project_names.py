"""Names in shared spaces: authx beside a project that has all of its words already."""

from pathlib import Path
from typing import Any

import pytest

from tests.projects import tell

pytestmark = pytest.mark.waits

# The names of all serializers, operations and fields with choices that authx describes.
WORDS = (
    *("Device", "Error", "Event", "ForeignToken", "Introspection", "Login", "LogoutAll", "Me"),
    *("LogoutAllResponse", "Metadata", "Pair", "PairDevice", "Password", "DeviceChange", "Session"),
    *("Token",),
)
OPERATIONS = (
    *(
        "activity",
        "change_device",
        "change_password",
        "device",
        "devices",
        "introspect",
        "login",
        "logout",
        "me",
    ),
    *("logout_all", "metadata", "refresh", "revoke", "revoke_device"),
)

VIEWS = f"""
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.authentication import SessionAuthentication
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.rest.serializers import MeSerializer
from authx.rest.views.account import MeView

class OwnScheme(SessionAuthentication):
    pass

class Bearer(OpenApiAuthenticationExtension):
    target_class = OwnScheme
    name = "bearer"

    def get_security_definition(self, auto_schema):
        return {{"type": "apiKey", "in": "cookie", "name": "own"}}

def serializer(word):
    fields = {{
        "own": serializers.CharField(),
        "kind": serializers.ChoiceField(["order", "invoice"]),
        "error": serializers.ChoiceField(["sold_out"]),
        "token_type": serializers.ChoiceField(["coupon"]),
    }}
    return type(word + "Serializer", (serializers.Serializer,), fields)

def view(word):
    described = extend_schema(operation_id=word, responses={{200: own[word], 429: None, 503: None}})
    def get(self, request):
        return Response()
    return type(word + "View", (APIView,), {{
        "get": described(get), "authentication_classes": [OwnScheme],
    }}).as_view()

words = {WORDS!r}
operations = {OPERATIONS!r}
own = {{name: serializer(words[n % len(words)]) for n, name in enumerate(operations)}}
own.update({{f"more_{{word}}": serializer(word) for word in words[len(operations):]}})
views = {{name: view(name) for name in own}}

class ProfileSerializer(MeSerializer):
    shoe_size = serializers.IntegerField(default=40)

class ProfileView(MeView):
    response_serializer_class = ProfileSerializer
"""
URLS = """
from django.urls import include, path, re_path
from drf_spectacular.views import SpectacularAPIView
from shop.views import ProfileView, views

inner = ([
    re_path(r"^auth/me/?$", ProfileView.as_view()),
    path("auth/", include(("authx.urls", "auth"), namespace="v1:auth")),
    path("auth/", include("authx.contrib.introspection.urls")),
], "v1")
urlpatterns = [
    path("tenants/<int:tenant>/auth/", include("authx.urls", namespace="of-tenants")),
    path("api/v1/", include(inner)),
    path("api/v2/auth/", include("authx.urls", namespace="v2")),
    path(".well-known/", include("authx.well_known")),
    *(path(f"shop/{name}/", view) for name, view in views.items()),
]
"""
SETTINGS = """
INSTALLED_APPS += ["drf_spectacular", "authx.contrib.openapi", "authx.contrib.introspection"]
AUTHX = {"API_PATHS": r"^/(api/|tenants/[0-9]+/)"}
REST_FRAMEWORK |= {
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.NamespaceVersioning",
    "DEFAULT_VERSION": "v1",
    "ALLOWED_VERSIONS": ["v1"],
}
SPECTACULAR_SETTINGS = {
    "OAS_VERSION": "3.1.1",
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "authx.contrib.openapi.hooks.set_aside",
        "drf_spectacular.hooks.postprocess_schema_enums",
        "authx.contrib.openapi.hooks.put_back",
        "authx.contrib.openapi.hooks.without_trailing_slash",
        "authx.contrib.openapi.hooks.with_headers",
        "authx.contrib.openapi.hooks.with_error_codes",
    ],
}
"""
STORY = """
import contextlib, io
from django.conf import settings
from django.contrib.auth.models import User
from django.test import override_settings
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator

User.objects.create_user("ann", password="a long password")
warnings = io.StringIO()
with contextlib.redirect_stderr(warnings):
    schema = SchemaGenerator().get_schema(request=None, public=True)
login = {"username": "ann", "password": "a long password"}
signed_in = [post(f"/{mount}/auth/login", login).status_code
             for mount in ("api/v1", "api/v2", "tenants/7")]
pair = post("/api/v1/auth/login", login).json()
found = ids()
unmatched = {}
for paths in (r"^/users/", r"^/api/v1/"):
    with override_settings(AUTHX={"API_PATHS": paths}):
        unmatched[paths] = [str(message.msg) for message in run_checks()]
with override_settings(SECURE_SSL_REDIRECT=True):
    browser = Client()
    paths = ("api/v1/auth/me", "tenants/7/auth/me", "shop/me/")
    plain = [browser.get(f"/{path}") for path in paths]
print(json.dumps({
    "schema": schema,
    "warnings": warnings.getvalue(),
    "metadata": get("/.well-known/oauth-authorization-server").json(),
    "signed in": signed_in,
    "me": get("/api/v1/auth/me", pair).json().get("shoe_size", "none"),
    "checks": found,
    "unmatched": unmatched,
    "plain": [response.status_code for response in plain],
    "labels": sorted(app.label for app in __import__("django.apps").apps.apps.get_app_configs()
                     if app.name.startswith("authx")),
}))
"""


@pytest.fixture(scope="module")
def told(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    files = {"views": VIEWS, "urls": URLS, "settings": SETTINGS, "story": STORY}
    story: dict[str, Any] = tell(wheel, tmp_path_factory.mktemp("names"), files)
    return story


def test_the_description_has_a_name_of_its_own_for_everything(told: dict[str, Any]) -> None:
    assert told["warnings"] == ""
    schemas = told["schema"]["components"]["schemas"]
    assert all("own" in schemas[word]["properties"] for word in WORDS)
    ours = {name for name in schemas if "Authx" in name}
    assert {f"Authx{word}" for word in ("Pair", "Error", "Me", "Session", "Event")} < ours
    assert schemas["KindEnum"]["enum"] == ["order", "invoice"]
    assert "signed_in" in schemas["AuthxEvent"]["properties"]["kind"]["enum"]
    schemes = told["schema"]["components"]["securitySchemes"]
    assert schemes["bearer"]["type"] == "apiKey"
    assert schemes["authx_bearer"]["scheme"] == "bearer"


def test_the_operations_of_a_project_stay_as_they_are(told: dict[str, Any]) -> None:
    paths = told["schema"]["paths"]
    own = {path: item["get"] for path, item in paths.items() if path.startswith("/shop/")}
    assert {operation["operationId"] for operation in own.values()} >= set(OPERATIONS)
    assert all(path.endswith("/") for path in own)
    headers = [
        answer.get("headers") for one in own.values() for answer in one["responses"].values()
    ]
    assert set(headers) == {None}


def test_every_mount_is_described_and_a_subclass_as_it_answers(told: dict[str, Any]) -> None:
    paths = told["schema"]["paths"]
    named = {
        path: item["post"]["operationId"] for path, item in paths.items() if path.endswith("/login")
    }
    assert named == {
        "/api/v1/auth/login": "authx_login",
        "/api/v2/auth/login": "authx_login_api_v2_auth",
        "/tenants/{tenant}/auth/login": "authx_login_tenants_tenant_auth",
    }
    profile = paths["/api/v1/auth/me"]["get"]["responses"]["200"]["content"]["application/json"]
    assert profile["schema"] == {"$ref": "#/components/schemas/Profile"}
    assert told["me"] == 40


def test_under_nested_namespaces_the_metadata_name_the_first_mount(told: dict[str, Any]) -> None:
    mount = "http://testserver/api/v1/auth"
    endpoints = {name: url for name, url in told["metadata"].items() if name.endswith("_endpoint")}
    assert endpoints == {
        "token_endpoint": f"{mount}/token",
        "revocation_endpoint": f"{mount}/revoke",
        "introspection_endpoint": f"{mount}/introspect",
    }


def test_every_mount_signs_in_and_refuses_plain_http(told: dict[str, Any]) -> None:
    assert told["signed in"] == [200, 200, 200]
    assert told["plain"] == [403, 403, 301]


def test_the_check_of_paths_finds_every_mount(told: dict[str, Any]) -> None:
    assert told["checks"] == []
    (every,), (some,) = told["unmatched"].values()
    assert all(f"/{mount}/auth/login" in every for mount in ("api/v1", "api/v2", "tenants/1"))
    assert "/api/v2/auth/login" in some
    assert "/api/v1/auth/login" not in some


def test_labels_of_applications_have_a_prefix(told: dict[str, Any]) -> None:
    assert told["labels"] == ["authx", "authx_introspection", "authx_openapi"]
