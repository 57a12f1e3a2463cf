"""A project subclasses a view: its fields, its response and its URL, with their description."""

from copy import deepcopy
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured
from django.test import Client, override_settings
from django.urls import include, path
from drf_spectacular.generators import SchemaGenerator
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from authx.contrib.openapi.hooks import (
    put_back,
    set_aside,
    with_headers,
    without_trailing_slash,
)
from authx.rest.serializers import LoginSerializer, SignInPairSerializer
from authx.rest.views.account import ActivityView
from authx.rest.views.base import AuthxView, shared
from authx.rest.views.tokens import LoginView
from tests.phone import PASSWORD, Phone


class AcceptsTerms(LoginSerializer):
    terms_accepted = serializers.BooleanField()


class PairWithGreeting(SignInPairSerializer):
    greeting = serializers.CharField(source="session.user.get_username")


class ShopLoginView(LoginView):
    serializer_class = AcceptsTerms
    response_serializer_class = PairWithGreeting


class LenientLoginView(LoginView):
    def get_serializer(self, *args: Any, **options: Any) -> Any:
        serializer: Any = super().get_serializer(*args, **options)
        serializer.fields["password"].max_length = 3
        return serializer


class GreetingView(AuthxView):
    response_serializer_class = PairWithGreeting

    def get(self, request: Request) -> Response:
        return Response({"greeting": request.user.get_username()})


urlpatterns = [
    path("shop/short", LenientLoginView.as_view()),
    path("shop/greeting", GreetingView.as_view()),
    path("shop/login", ShopLoginView.as_view()),
    path("users/", include("authx.urls")),
]


@pytest.mark.django_db
def test_its_fields_are_validated_and_its_response_is_rendered(alice: User) -> None:
    credentials: dict[str, Any] = {"username": alice.username, "password": PASSWORD}
    with override_settings(ROOT_URLCONF=__name__):
        refused = Client().post("/shop/login", credentials, content_type="application/json")
        accepted = Client().post(
            "/shop/login", credentials | {"terms_accepted": True}, content_type="application/json"
        )
    assert refused.json()["fields"] == {"terms_accepted": ["This field is required."]}
    assert accepted.json()["greeting"] == alice.username
    assert accepted.json()["token_type"] == "Bearer"


@pytest.mark.django_db
def test_a_serializer_that_a_view_prepares_itself_validates(alice: User) -> None:
    credentials: dict[str, Any] = {"username": alice.username, "password": PASSWORD}
    with override_settings(ROOT_URLCONF=__name__):
        refused = Client().post("/shop/short", credentials, content_type="application/json")
        accepted = Client().post("/users/login", credentials, content_type="application/json")
    assert list(refused.json()["fields"]) == ["password"]
    assert accepted.status_code == 200


class PairWithAddress(SignInPairSerializer):
    address = serializers.SerializerMethodField()

    def get_address(self, _: Any) -> str:
        address: str = self.context["request"].META["REMOTE_ADDR"]
        return address


@pytest.mark.django_db
def test_a_serializer_of_a_project_has_the_request_and_an_instance_of_its_own(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ShopLoginView, "response_serializer_class", PairWithAddress)
    credentials: dict[str, Any] = {"username": alice.username, "password": PASSWORD}
    with override_settings(ROOT_URLCONF=__name__):
        accepted = Client().post(
            "/shop/login", credentials | {"terms_accepted": True}, content_type="application/json"
        )
    assert accepted.json()["address"] == "127.0.0.1"
    assert shared(AcceptsTerms) is None
    assert shared(LoginSerializer) is not None


def test_the_api_description_shows_its_own_serializers() -> None:
    generator: Any = SchemaGenerator(patterns=urlpatterns)  # type: ignore[no-untyped-call]
    with override_settings(ROOT_URLCONF=__name__):
        schema = generator.get_schema(request=None, public=True)
    operation = schema["paths"]["/shop/login"]["post"]
    body = operation["requestBody"]["content"]["application/json"]["schema"]
    assert body == {"$ref": "#/components/schemas/AcceptsTermsRequest"}
    response = operation["responses"]["200"]["content"]["application/json"]["schema"]
    assert response == {"$ref": "#/components/schemas/PairWithGreeting"}
    assert {"400", "429", "503"} < set(operation["responses"])
    assert schema["paths"]["/shop/greeting"]["get"]["security"] == [{"authx_bearer": []}]


def test_the_hooks_leave_what_a_project_says_of_its_own_operations() -> None:
    declared = {"Retry-After": {"schema": {"type": "string"}}}
    own: dict[str, Any] = {"operationId": "orders", "responses": {"429": {"headers": declared}}}
    login: dict[str, Any] = {"operationId": "authx_login", "responses": {"429": {}}}
    paths = {"/": {"get": own}, "/shop/orders/": {"get": own}, "/users/login/": {"post": login}}
    result = with_headers(without_trailing_slash({"paths": paths}))
    assert list(result["paths"]) == ["/", "/shop/orders/", "/users/login"]
    assert own["responses"]["429"]["headers"] == declared
    assert set(login["responses"]["429"]["headers"]) == {"Retry-After"}


def test_a_hook_that_renames_fields_can_leave_ours_alone() -> None:
    generator: Any = SchemaGenerator(patterns=urlpatterns)  # type: ignore[no-untyped-call]
    with override_settings(ROOT_URLCONF=__name__):
        result = generator.get_schema(request=None, public=True)
    before = deepcopy(result["components"]["schemas"])
    seen = set_aside(result, generator)["components"]["schemas"]
    assert set(seen) == {"AcceptsTermsRequest", "PairWithGreeting"}
    for schema in seen.values():
        schema["properties"] = {"renamed": {}}
    after = put_back(result, generator)["components"]["schemas"]
    assert {name for name, schema in after.items() if schema != before[name]} == set(seen)
    assert list(after) == list(before)
    assert put_back(set_aside({}, generator), generator) == {"components": {"schemas": {}}}


def test_a_subclass_beside_its_view_has_an_operation_of_its_own() -> None:
    def login() -> dict[str, Any]:
        return {"post": {"operationId": "authx_login", "responses": {}}}

    paths = {"/users/login/": login(), "/{shop}/v2/login/": login(), "/webhooks/": {"post": {}}}
    result = without_trailing_slash({"paths": paths})["paths"]
    assert {path: item["post"].get("operationId") for path, item in result.items()} == {
        "/users/login": "authx_login",
        "/{shop}/v2/login": "authx_login_shop_v2",
        "/webhooks/": None,
    }


def test_a_view_that_forgets_its_response_serializer_says_so() -> None:
    with pytest.raises(ImproperlyConfigured, match="AuthxView sets no response_serializer_class"):
        AuthxView().respond({})


@pytest.mark.django_db
def test_the_events_of_a_subclass_need_no_pages(
    phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ActivityView, "pagination_class", None)
    events = phone.send("GET", "activity").json()
    assert [event["kind"] for event in events] == ["signed_in"]
