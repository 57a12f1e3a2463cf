"""Tokens are limited for their session, not for the address it shares; forged ones for theirs."""

from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import AnonymousUser, User
from rest_framework.response import Response
from rest_framework.test import APIRequestFactory, force_authenticate

from authx.context import RequestContext, use_context
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.rest.views.base import AuthxView
from authx.urls import urlpatterns
from tests.conftest import Clock
from tests.guessing import ELSEWHERE, WRONG, forge, statuses
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

LIMITED = (429, "rate_limited")
ONCE = ["1/minute"]
BEARER = ["GET me", "POST logout-all", "POST password", "GET devices", "GET activity"]
BEARER += ["POST reauthenticate"]
BEARER += ["GET devices/{id}", "PATCH devices/{id}", "DELETE devices/{id}", "POST logout"]


class Open(AuthxView):
    permission_classes = ()

    def get(self, _: Any) -> Response:
        return Response()


def revoke(token: str, **options: Any) -> Any:
    client = Phone().client
    return client.post("/users/revoke", {"token": token}, "application/json", **options)


def refresh(token: str, **options: Any) -> Any:
    body = {"grant_type": "refresh_token", "refresh_token": token}
    return Phone().client.post("/users/token", body, "application/json", **options)


def test_a_regular_app_reaches_no_limit(clock: Clock, phone: Phone) -> None:
    refreshed = [phone.try_refresh().status_code for _ in range(20)]
    phone.refresh()
    called = [phone.call().status_code for _ in range(100)]
    assert set(refreshed + called) == {HTTPStatus.OK}
    assert phone.refresh().is_signed_in


def test_a_limited_refresh_consumes_nothing(clock: Clock, phone: Phone) -> None:
    for _ in range(60):
        phone.refresh()
    before = DeviceSession.objects.values().get()
    response = phone.try_refresh()
    assert error_of(response) == LIMITED
    assert response.headers["Cache-Control"] == "no-store"
    assert DeviceSession.objects.values().get() == before
    clock.forward(seconds=int(response.headers["Retry-After"]))
    assert phone.refresh().is_signed_in


def test_one_session_over_its_limit_leaves_the_next_alone(
    clock: Clock, phone: Phone, tablet: Phone, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"REFRESH_RATES": ONCE, "SESSION_RATES": ONCE}
    assert phone.refresh().is_signed_in
    assert error_of(phone.try_refresh()) == error_of(phone.call()) == LIMITED
    assert tablet.refresh().is_signed_in


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_a_revocation_is_limited_for_its_session_and_the_kind_of_token_it_shows(
    clock: Clock, phone: Phone, tablet: Phone, settings: Any, kind: str
) -> None:
    settings.AUTHX = settings.AUTHX | {"REFRESH_RATES": ONCE}
    assert revoke(phone.pair[kind]).status_code == HTTPStatus.OK
    assert error_of(revoke(phone.pair[kind])) == LIMITED
    assert revoke(tablet.pair[kind]).status_code == HTTPStatus.OK


@pytest.mark.parametrize("request_line", BEARER)
def test_every_request_with_a_bearer_token_is_limited(
    clock: Clock, phone: Phone, settings: Any, request_line: str
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_RATES": ONCE}
    assert phone.is_signed_in
    method, path = request_line.format(id=phone.session_id).split()
    response = phone.send(method, path, {} if method in {"POST", "PATCH"} else None)
    assert error_of(response) == LIMITED
    assert 1 <= int(response.headers["Retry-After"]) <= 61
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("user", [User(pk=1), AnonymousUser()])
def test_another_authentication_scheme_is_limited_without_a_session(
    clock: Clock, settings: Any, user: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_RATES": ONCE}
    request = APIRequestFactory().get("/")
    force_authenticate(request, user)
    view = Open.as_view()
    with use_context(RequestContext(ip="203.0.113.9")):
        assert [view(request).status_code for _ in range(2)] == [200, 429]


def test_every_endpoint_is_in_a_list_of_limited_ones() -> None:
    tested = {line.split()[1].partition("/")[0] for line in BEARER} | {"login", "token", "revoke"}
    assert {pattern.name for pattern in urlpatterns} - {"device"} == tested


def test_wrong_current_passwords_are_limited_for_the_device(clock: Clock, phone: Phone) -> None:
    body = {"current_password": WRONG, "new_password": "another horse entirely"}
    answers = [phone.send("POST", "password", body).status_code for _ in range(6)]
    assert answers == [400] * 5 + [429]
    assert error_of(phone.try_sign_in()) == LIMITED
    assert phone.refresh().is_signed_in


def test_a_rejected_new_password_counts_as_no_guess(clock: Clock, phone: Phone) -> None:
    body = {"current_password": PASSWORD, "new_password": "short"}
    answers = [phone.send("POST", "password", body).json() for _ in range(7)]
    assert {tuple(answer["fields"]) for answer in answers} == {("new_password",)}


def test_guesses_from_elsewhere_do_not_keep_a_password_from_being_changed(
    clock: Clock, alice: User
) -> None:
    phone = Phone(device={}).sign_in()
    assert statuses(6) == [400] * 5 + [429]
    body = {"current_password": PASSWORD, "new_password": "another horse entirely"}
    assert phone.send("POST", "password", body).status_code == HTTPStatus.OK


@pytest.mark.parametrize("present", [forge, lambda: refresh("x", REMOTE_ADDR=ELSEWHERE)])
def test_forged_tokens_are_limited_by_address(clock: Clock, settings: Any, present: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"FORGED_TOKEN_RATES": ["2/minute"]}
    assert revoke("x", REMOTE_ADDR=ELSEWHERE).status_code == HTTPStatus.OK
    assert present().status_code in {HTTPStatus.BAD_REQUEST, HTTPStatus.UNAUTHORIZED}
    response = present()
    assert error_of(response) == error_of(revoke("x", REMOTE_ADDR=ELSEWHERE)) == LIMITED
    assert response.headers["Retry-After"] == "61"
    assert response.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response.headers


def test_a_flood_of_forged_tokens_hits_no_genuine_one_behind_the_same_address(
    clock: Clock, phone: Phone
) -> None:
    answers = [forge("127.0.0.1").status_code for _ in range(100)]
    assert answers == [401] * 60 + [429] * 40
    assert phone.is_signed_in
    assert phone.refresh().sign_in().is_signed_in
    assert revoke(phone.refresh_token).status_code == HTTPStatus.OK
    crossed = SecurityEvent.objects.filter(kind=EventKind.RATE_LIMITED)
    assert [(event.reason, event.ip) for event in crossed] == [
        ("forged tokens from a network", "127.0.0.1")
    ]


def test_a_genuine_token_that_is_dead_is_no_forged_one(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"FORGED_TOKEN_RATES": ONCE}
    phone.send("POST", "logout")
    assert [phone.call().status_code for _ in range(3)] == [401] * 3
    assert forge("127.0.0.1").status_code == HTTPStatus.UNAUTHORIZED


@pytest.fixture
def counted() -> Iterator[mock.Mock]:
    with mock.patch("authx.throttling.classes.consume") as counted:
        yield counted


def test_a_refresh_later_than_the_average_of_the_rates_asks_no_store(
    clock: Clock, phone: Phone, settings: Any, counted: mock.Mock
) -> None:
    settings.AUTHX = settings.AUTHX | {"REFRESH_RATES": ["60/minute", "120/hour"]}
    for seconds in (30, 30, 1000):
        clock.forward(seconds=seconds)
        phone.refresh()
    assert not counted.called
    clock.forward(seconds=29.9)
    phone.refresh()
    assert counted.call_count == 1


def test_whatever_is_no_ordinary_refresh_is_counted(
    clock: Clock, phone: Phone, tablet: Phone, counted: mock.Mock
) -> None:
    clock.forward(minutes=1)
    consumed = phone.refresh_token
    phone.refresh()
    clock.forward(minutes=1)
    phone.try_refresh(consumed)
    assert counted.call_count == 1
    tablet.send("POST", "logout")
    counted.reset_mock()
    tablet.try_refresh()
    DeviceSession.objects.all().delete()
    tablet.try_refresh()
    assert counted.call_count == 2


def test_old_access_tokens_sent_to_be_revoked_use_up_no_refresh(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"REFRESH_RATES": ["3/minute"]}
    leaked = phone.access_token
    phone.refresh()
    clock.forward(minutes=2)
    phone.refresh()
    clock.forward(minutes=2)
    assert [revoke(leaked).status_code for _ in range(4)] == [200, 200, 200, 429]
    assert phone.refresh().is_signed_in


def test_a_session_over_its_limit_is_recorded_with_its_user(
    clock: Clock, alice: User, phone: Phone, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_RATES": ONCE}
    assert [phone.call().status_code for _ in range(3)] == [200, 429, 429]
    event = SecurityEvent.objects.get(kind=EventKind.RATE_LIMITED)
    assert (event.user_id, str(event.session_id)) == (alice.pk, phone.session_id)
