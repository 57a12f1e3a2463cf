"""A scheme that authx replaces is taken until its date, says so, and is refused afterwards."""

import json
from base64 import b64encode
from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any, cast

import pytest
from django.contrib.auth.models import User
from django.test import RequestFactory
from django.urls import resolve
from pytest_django import Settings
from rest_framework.authentication import BasicAuthentication
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.settings import api_settings
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from authx.contrib.sunset.authentication import SunsetAuthentication
from authx.contrib.sunset.checks import check_sunset
from authx.contrib.sunset.views import ExchangeView, SunsetView
from authx.rest.authentication import TokenAuthentication
from tests.conftest import NOON, Clock
from tests.phone import PASSWORD, Phone
from tests.settings_page import unlisted_keys

SUNSET = NOON + timedelta(days=30)
RETIREMENT = {
    "DEPRECATED_AT": NOON,
    "SUNSET_AT": SUNSET,
    "SUNSET_LINK": "https://example.com/new-sessions",
}
OLD = "Basic " + b64encode(f"alice:{PASSWORD}".encode()).decode()

Ask = Callable[[str], Response]


class OldAuthentication(SunsetAuthentication, BasicAuthentication):
    """Stands for whatever a project had before."""


class NameView(APIView):
    authentication_classes = (OldAuthentication, TokenAuthentication)
    permission_classes = (IsAuthenticated,)

    def get(self, request: Request) -> Response:
        return Response(request.user.get_username())


@pytest.fixture
def ask(settings: Settings, clock: Clock, alice: User) -> Ask:
    settings.AUTHX = settings.AUTHX | RETIREMENT
    factory, view = APIRequestFactory(), NameView.as_view()
    return lambda header: view(factory.get("/", headers={"authorization": header}))


def test_the_old_scheme_is_taken_and_says_when_it_ends(ask: Ask) -> None:
    answer = ask(OLD)
    assert answer.data == "alice"
    assert answer["Deprecation"] == "@1767614400"
    assert answer["Sunset"] == "Wed, 04 Feb 2026 12:00:00 GMT"
    link = "<https://example.com/new-sessions>"
    assert answer["Link"] == f'{link}; rel="deprecation", {link}; rel="sunset"'


@pytest.mark.usefixtures("ask")
def test_outside_of_a_view_the_old_scheme_announces_nothing_and_is_taken(alice: User) -> None:
    request: Any = RequestFactory().get("/", headers={"authorization": OLD})
    user, _ = OldAuthentication().authenticate(request) or (None, None)
    assert user == alice


def test_the_old_scheme_ends_at_its_instant_and_still_says_why(ask: Ask, clock: Clock) -> None:
    clock.forward(days=30, seconds=-1)
    assert ask(OLD).status_code == HTTPStatus.OK
    clock.forward(seconds=1)
    refused = ask(OLD)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert refused.data["error"] == "invalid_token"
    assert refused["Sunset"] == "Wed, 04 Feb 2026 12:00:00 GMT"


def test_without_a_date_there_is_no_old_scheme(ask: Ask, settings: Settings) -> None:
    settings.AUTHX = settings.AUTHX | {"DEPRECATED_AT": None, "SUNSET_AT": None, "SUNSET_LINK": ""}
    refused = ask(OLD)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert {"Deprecation", "Sunset", "Link"}.isdisjoint(refused.headers)


def test_our_own_tokens_pass_the_old_scheme_by(ask: Ask, phone: Phone, clock: Clock) -> None:
    clock.forward(minutes=1)
    answer = ask(f"Bearer {phone.access_token}")
    assert answer.data == "alice"
    assert "Sunset" not in answer.headers


@pytest.mark.parametrize("header", ["", "Bearer unknown", "Basic YWxpY2U6d3Jvbmc="])
def test_what_neither_scheme_knows_is_refused_and_announces_nothing(ask: Ask, header: str) -> None:
    refused = ask(header)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert "Sunset" not in refused.headers


BROKEN: list[tuple[str, dict[str, Any]]] = [
    ("authx_sunset.E001", {"SUNSET_AT": SUNSET.replace(tzinfo=None)}),
    ("authx_sunset.E001", {"DEPRECATED_AT": "2026-01-05"}),
    ("authx_sunset.E002", {"DEPRECATED_AT": SUNSET + timedelta(seconds=1)}),
    ("authx_sunset.E002", {"DEPRECATED_AT": None}),
    ("authx_sunset.E002", {"SUNSET_AT": None}),
    ("authx_sunset.E003", {"SUNSET_LINK": "http://example.com"}),
    ("authx_sunset.E003", {"SUNSET_LINK": 'https://example.com/>; rel="x"'}),
    ("authx_sunset.E003", {"SUNSET_LINK": "https://example.com/\r\nX-Evil: 1"}),
    ("authx_sunset.E003", {"SUNSET_LINK": None}),
    # The setting was replaced, such as by the block of another page.
    ("authx_sunset.W001", {"DEPRECATED_AT": None, "SUNSET_AT": None}),
]


@pytest.mark.parametrize(("expected", "change"), BROKEN)
def test_a_retirement_that_contradicts_itself_is_refused(
    settings: Settings, expected: str, change: dict[str, Any]
) -> None:
    settings.AUTHX = settings.AUTHX | RETIREMENT | change
    assert [message.id for message in check_sunset()] == [expected]


@pytest.mark.parametrize(
    "change",
    [
        {},
        {"DEPRECATED_AT": SUNSET},
        {"SUNSET_LINK": ""},
    ],
)
def test_a_retirement_that_makes_sense_is_not(settings: Settings, change: dict[str, Any]) -> None:
    settings.AUTHX = settings.AUTHX | RETIREMENT | change
    assert check_sunset() == []


class OldLoginView(SunsetView):
    """Stands for the sign-in of whatever a project had before."""

    authentication_classes = ()

    def post(self, _: Request) -> Response:
        return Response("an old token")


def test_a_view_of_the_old_scheme_ends_with_it(ask: Ask, clock: Clock) -> None:
    view, request = OldLoginView.as_view(), APIRequestFactory().post("/")
    assert view(request)["Sunset"] == "Wed, 04 Feb 2026 12:00:00 GMT"
    clock.forward(days=30)
    refused = view(request)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert refused["Sunset"] == "Wed, 04 Feb 2026 12:00:00 GMT"


def exchange(device: dict[str, str] | None = None, **options: Any) -> Response:
    headers = {"authorization": OLD}
    request = APIRequestFactory().post(
        "/", {"device": device or {}}, format="json", headers=headers
    )
    return cast("Response", ExchangeView.as_view(**options)(request))


@pytest.fixture
def is_default(ask: Ask, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = [OldAuthentication, TokenAuthentication]
    monkeypatch.setattr(api_settings, "DEFAULT_AUTHENTICATION_CLASSES", classes, raising=False)


@pytest.mark.usefixtures("is_default")
def test_an_old_token_opens_a_session_of_the_device_until_the_date(clock: Clock) -> None:
    answer = exchange({"installation_id": "phone", "name": "Old phone"})
    assert answer["Sunset"] == "Wed, 04 Feb 2026 12:00:00 GMT"
    pair = json.loads(answer.render().content)
    assert pair["device"]["name"] == "Old phone"
    assert Phone(pair=pair).is_signed_in
    exchange({"installation_id": "phone"})
    assert not Phone(pair=pair).is_signed_in
    clock.forward(days=30)
    assert exchange().status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.parametrize("path", ["/exchange", "/exchange/"])
def test_the_exchange_has_an_address_to_mount(path: str) -> None:
    found = resolve(path, urlconf="authx.contrib.sunset.urls")
    assert found.view_name == "exchange"
    assert getattr(found.func, "view_class", None) is ExchangeView


@pytest.mark.usefixtures("is_default")
def test_a_token_of_authx_is_not_exchanged(phone: Phone) -> None:
    header = {"authorization": f"Bearer {phone.access_token}"}
    answer = ExchangeView.as_view()(APIRequestFactory().post("/", headers=header))
    assert answer.status_code == HTTPStatus.UNAUTHORIZED


@pytest.mark.usefixtures("ask")
def test_a_project_may_name_the_classes_of_the_exchange_itself() -> None:
    assert exchange().status_code == HTTPStatus.FORBIDDEN
    own = exchange(authentication_classes=[OldAuthentication])
    assert own.status_code == HTTPStatus.OK


class SlowAuthentication(OldAuthentication):
    def authenticate(self, request: Request) -> Any:
        user, auth = super().authenticate(request) or (None, None)
        # As if another process had set a password since the old token was looked at.
        cast("User", user).password = "another"
        return user, auth


@pytest.mark.usefixtures("ask")
def test_a_password_that_changes_during_an_exchange_ends_no_session() -> None:
    answer = exchange(authentication_classes=[SlowAuthentication])
    assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert answer["Retry-After"] == "5"


def test_the_page_of_settings_has_them_beside_their_keys() -> None:
    assert unlisted_keys("AUTHX", BROKEN) == set()
