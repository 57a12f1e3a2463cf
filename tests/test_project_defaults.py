"""Defaults of a project change no answer of authx, and authx changes no answer of a project."""

from pathlib import Path
from typing import Any

import pytest

from tests.projects import tell

pytestmark = pytest.mark.waits

# As djangorestframework-camel-case renames keys, and more that no endpoint of ours may use.
CODE = """
import re
from django.http import HttpResponse
from rest_framework.filters import BaseFilterBackend
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.pagination import PageNumberPagination
from rest_framework.parsers import JSONParser
from rest_framework.permissions import BasePermission
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.throttling import BaseThrottle
from rest_framework.versioning import AcceptHeaderVersioning, URLPathVersioning

def renamed(data, rename):
    if isinstance(data, dict):
        return {rename(key): renamed(inner, rename) for key, inner in data.items()}
    return [renamed(one, rename) for one in data] if isinstance(data, list) else data

def camel(key):
    return re.sub(r"_(.)", lambda found: found[1].upper(), key)

class CamelRenderer(JSONRenderer):
    def render(self, data, *args, **options):
        return super().render(renamed(data, camel), *args, **options)

class CamelParser(JSONParser):
    def parse(self, *args, **options):
        snake = lambda key: re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), key)
        return renamed(super().parse(*args, **options), snake)

class Nobody(BasePermission):
    def has_permission(self, request, view):
        return False

class NoRequest(BaseThrottle):
    def allow_request(self, request, view):
        return False

class NoRow(BaseFilterBackend):
    def filter_queryset(self, request, queryset, view):
        return queryset.none()

class OnePage(PageNumberPagination):
    page_size = 1

class OwnNegotiation(DefaultContentNegotiation):
    pass

def handler(error, context):
    return Response({"theirError": str(error)}, status=418)

def camelize(result, **_):
    def rename(schema):
        if "properties" in schema:
            schema["properties"] = {camel(k): v for k, v in schema["properties"].items()}
            schema["required"] = list(map(camel, schema.get("required", [])))
    for schema in result["components"]["schemas"].values():
        rename(schema)
    return result
"""
SCHEMA = """
from drf_spectacular.openapi import AutoSchema

class OwnSchema(AutoSchema):
    def get_tags(self):
        return ["shop"]
"""
VIEWS = """
import datetime
from django.utils import timezone
from rest_framework import serializers
from rest_framework.response import Response
from rest_framework.views import APIView

class MomentSerializer(serializers.Serializer):
    next_moment = serializers.DateTimeField()

class MomentView(APIView):
    authentication_classes = permission_classes = throttle_classes = ()
    serializer_class = MomentSerializer

    def get(self, request):
        moment = datetime.datetime(2026, 1, 2, 3, tzinfo=datetime.UTC)
        return Response(MomentSerializer({"next_moment": moment}).data)

    def post(self, request):
        serializer = MomentSerializer(data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response({})
"""
URLS = """
from django.urls import include, path
from shop.views import MomentView

urlpatterns = [
    path("users/", include("authx.urls")),
    path("<slug:version>/users/", include("authx.urls", namespace="versioned")),
    path("moment", MomentView.as_view()),
]
"""
PLAIN = """
INSTALLED_APPS += ["drf_spectacular", "authx.contrib.openapi"]
AUTHX = {"API_PATHS": "^/(users|[a-z0-9]+/users)/"}
REST_FRAMEWORK["DEFAULT_SCHEMA_CLASS"] = "drf_spectacular.openapi.AutoSchema"
SPECTACULAR_SETTINGS = {"POSTPROCESSING_HOOKS": [
    "authx.contrib.openapi.hooks.without_trailing_slash",
    "authx.contrib.openapi.hooks.with_headers",
]}
"""
HOSTILE = """
TIME_ZONE = "Asia/Kolkata"
USE_THOUSAND_SEPARATOR = True
REST_FRAMEWORK |= {
    "DATETIME_FORMAT": "%d.%m.%Y",
    "DATE_FORMAT": "%d.%m.%Y",
    "UNICODE_JSON": False,
    "COMPACT_JSON": False,
    "STRICT_JSON": False,
    "NON_FIELD_ERRORS_KEY": "__all__",
    "URL_FORMAT_OVERRIDE": "format",
    "FORMAT_SUFFIX_KWARG": "version",
    "UNAUTHENTICATED_USER": None,
    "UNAUTHENTICATED_TOKEN": None,
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
    "DEFAULT_RENDERER_CLASSES": ["shop.code.CamelRenderer"],
    "DEFAULT_PARSER_CLASSES": ["shop.code.CamelParser"],
    "DEFAULT_PERMISSION_CLASSES": ["shop.code.Nobody"],
    "DEFAULT_THROTTLE_CLASSES": ["shop.code.NoRequest"],
    "DEFAULT_FILTER_BACKENDS": ["shop.code.NoRow"],
    "DEFAULT_PAGINATION_CLASS": "shop.code.OnePage",
    "PAGE_SIZE": 1,
    "DEFAULT_VERSIONING_CLASS": "rest_framework.versioning.{versioning}",
    "ALLOWED_VERSIONS": ["9"],
    "DEFAULT_VERSION": "9",
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "shop.code.OwnNegotiation",
    "DEFAULT_SCHEMA_CLASS": "shop.schema.OwnSchema",
    "EXCEPTION_HANDLER": "shop.code.handler",
}
SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"] = [
    "authx.contrib.openapi.hooks.set_aside",
    "shop.code.camelize",
    "authx.contrib.openapi.hooks.put_back",
    *SPECTACULAR_SETTINGS["POSTPROCESSING_HOOKS"],
]
"""
STORY = """
import re
from django.contrib.auth.models import User
from drf_spectacular.generators import SchemaGenerator
from authx.models import DeviceSession

User.objects.create_user("zoë", password="a long password")
device = {"name": "Zoë's \\u2028 phone"}
login = {"username": "zoë", "password": "a long password", "device": device}
answers = []

def note(response):
    text = response.content.decode()
    text = re.sub(r"ax[adr]_[\\w-]+", "TOKEN", text)
    text = re.sub(r"[0-9a-f]{8}-[0-9a-f-]{27}", "ID", text)
    text = re.sub(r"\\d{4}-\\d\\d-\\d\\dT\\d\\d:\\d\\d:\\d\\d\\.\\d+Z", "INSTANT", text)
    text = re.sub(r'"auth_time":\\d+', '"auth_time":0', text)
    text = re.sub(r"_in\\":\\d+", "_in\\":SECONDS", text)
    answers.append([response.status_code, response.headers["Content-Type"], text])
    return response

pair = note(post("/users/login", login, accept="application/json; version=7")).json()
note(post("/v3/users/login?format=xml", login))
note(post("/users/login", [1]))
note(post("/users/login", {"username": "zoë"}))
note(post("/users/login", login | {"device": "phone"}))
note(post("/users/login", login | {"password": "wrong"}))
for path in ("me", "devices", "activity", "nothing"):
    note(get("/users/" + path, pair))
note(get("/users/me"))
note(get("/users/me", {"access_token": "axa_forged"}))
note(post("/users/token", {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}))
note(client.post("/users/login", login))
token = {"authorization": "Bearer " + pair["access_token"]}
note(client.post("/users/password", {"current_password": "x"}, headers=token))
note(post("/users/logout-all", {}, **token))
schema = SchemaGenerator().get_schema(request=None, public=True)
theirs = [get("/moment"), post("/moment", {"nextMoment": "x"}), post("/moment", [1])]
print(json.dumps({
    "answers": answers,
    "schemas": {k: v for k, v in schema["components"]["schemas"].items() if "Authx" in k},
    "paths": {k: v for k, v in schema["paths"].items() if k.startswith("/users")},
    "moment": schema["components"]["schemas"]["Moment"]["properties"],
    "theirs": [[response.status_code, response.content.decode()] for response in theirs],
}))
"""


@pytest.fixture(scope="module")
def plain(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    return told_by(wheel, tmp_path_factory.mktemp("plain"), PLAIN)


@pytest.fixture(scope="module", params=["AcceptHeaderVersioning", "URLPathVersioning"])
def hostile(
    request: pytest.FixtureRequest, wheel: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Any]:
    settings = PLAIN + HOSTILE.replace("{versioning}", request.param)
    return told_by(wheel, tmp_path_factory.mktemp("hostile"), settings)


def told_by(wheel: Path, project: Path, settings: str) -> dict[str, Any]:
    own = {"code": CODE, "schema": SCHEMA, "views": VIEWS, "urls": URLS}
    told: dict[str, Any] = tell(wheel, project, own | {"settings": settings, "story": STORY})
    return told


def test_no_default_of_a_project_changes_an_answer(
    plain: dict[str, Any], hostile: dict[str, Any]
) -> None:
    statuses = [status for status, _, _ in plain["answers"]]
    assert statuses == [200, 200, *[400] * 4, 200, 200, 200, 404, 401, 401, 200, 415, 415, 200]
    for ours, theirs in zip(plain["answers"], hostile["answers"], strict=True):
        assert theirs == ours


def test_instants_are_utc_and_iso_8601(plain: dict[str, Any]) -> None:
    devices = plain["answers"][7][2]
    assert '"created_at":"INSTANT","last_used_at":"INSTANT"' in devices


def test_a_form_with_files_is_told_what_to_send(plain: dict[str, Any]) -> None:
    (_, _, both), (_, _, json_only) = plain["answers"][13:15]
    assert "Send application/json or application/x-www-form-urlencoded." in both
    assert "Send application/json." in json_only


def test_no_hook_or_schema_class_of_a_project_changes_our_description(
    plain: dict[str, Any], hostile: dict[str, Any]
) -> None:
    assert hostile["schemas"] == plain["schemas"]
    assert hostile["paths"] == plain["paths"]
    assert set(hostile["moment"]) == {"nextMoment"}


def test_the_answers_of_a_project_keep_its_defaults(hostile: dict[str, Any]) -> None:
    first, invalid, no_object = hostile["theirs"]
    assert first == [200, '{"nextMoment": "02.01.2026"}']
    assert invalid[0] == no_object[0] == 418
    assert "next_moment" in invalid[1]
    assert "__all__" in no_object[1]
