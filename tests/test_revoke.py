"""Revocation by token (RFC 7009): ends the session, and tells nobody whether there was one."""

from collections.abc import Callable
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from authx.models import DeviceSession, EventKind
from authx.sessions.revoke import revoke_all
from tests.conftest import Clock
from tests.guessing import altered
from tests.phone import Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

FORM = "application/x-www-form-urlencoded"
JSON = "application/json"
HINTS: list[dict[str, str]] = [
    {},
    {"token_type_hint": "access_token"},
    {"token_type_hint": "refresh_token"},
    {"token_type_hint": "made_up"},
    {"token_type_hint": ""},
]


def revoke(token: str, **extra: str) -> "ErrorResponse":
    return Phone().send("POST", "revoke", {"token": token, **extra})


def refresh_token(phone: Phone, clock: Clock) -> str:
    return phone.refresh_token


def access_token(phone: Phone, clock: Clock) -> str:
    return phone.access_token


def expired_access_token(phone: Phone, clock: Clock) -> str:
    clock.forward(minutes=20)
    return phone.access_token


def forgotten_access_token(phone: Phone, clock: Clock) -> str:
    old = phone.access_token
    phone.refresh()
    clock.forward(seconds=10)
    phone.refresh()
    return old


def unconfirmed_predecessor(phone: Phone, clock: Clock) -> str:
    old = phone.refresh_token
    phone.pair = phone.try_refresh().json()
    return old


def unknown(phone: Phone, clock: Clock) -> str:
    DeviceSession.objects.filter(pk=phone.session_id).delete()
    return phone.refresh_token


def access_token_of_an_unknown_session(phone: Phone, clock: Clock) -> str:
    DeviceSession.objects.filter(pk=phone.session_id).delete()
    return phone.access_token


def already_revoked(phone: Phone, clock: Clock) -> str:
    phone.send("POST", "logout")
    return phone.refresh_token


def forged(phone: Phone, clock: Clock) -> str:
    return altered(phone.refresh_token)


def with_another_prefix(phone: Phone, clock: Clock) -> str:
    return "axa_" + phone.refresh_token.removeprefix("axr_")


def garbage(phone: Phone, clock: Clock) -> str:
    return "garbage \u2603"


ENDING = [
    refresh_token,
    access_token,
    expired_access_token,
    unconfirmed_predecessor,
]
ENDING_NOTHING = [
    forgotten_access_token,
    unknown,
    access_token_of_an_unknown_session,
    already_revoked,
    forged,
    with_another_prefix,
    garbage,
]


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("token_of", ENDING)
def test_a_token_of_either_kind_ends_its_session_whatever_the_hint(
    clock: Clock,
    phone: Phone,
    tablet: Phone,
    token_of: Callable[[Phone, Clock], str],
    hint: dict[str, str],
) -> None:
    response = revoke(token_of(phone, clock), **hint)
    assert response.status_code == HTTPStatus.OK
    assert response.content == b"{}"
    assert DeviceSession.objects.get(pk=phone.session_id).revoked_reason == "token_revoked"
    assert error_of(phone.call()) == (401, "invalid_token")
    assert error_of(phone.try_refresh()) == (400, "invalid_grant")
    assert tablet.refresh().is_signed_in


@pytest.mark.parametrize("hint", HINTS)
@pytest.mark.parametrize("token_of", ENDING_NOTHING)
def test_a_token_that_ends_nothing_gets_the_same_answer(
    clock: Clock,
    phone: Phone,
    tablet: Phone,
    token_of: Callable[[Phone, Clock], str],
    hint: dict[str, str],
) -> None:
    token = token_of(phone, clock)
    ends_something = revoke(tablet.refresh_token)
    before = list(DeviceSession.objects.values())
    response = revoke(token, **hint)
    assert response.status_code == ends_something.status_code == HTTPStatus.OK
    assert response.content == ends_something.content == b"{}"
    del response.headers["X-Request-ID"], ends_something.headers["X-Request-ID"]
    assert response.headers == ends_something.headers
    assert list(DeviceSession.objects.values()) == before


def test_a_session_that_expired_long_ago_gets_the_same_answer(clock: Clock, phone: Phone) -> None:
    clock.forward(days=30)
    response = revoke(phone.refresh_token)
    assert (response.status_code, response.content) == (200, b"{}")


@pytest.mark.portable
@pytest.mark.parametrize("content_type", [FORM, JSON])
def test_form_and_json_are_both_read(phone: Phone, content_type: str) -> None:
    fields = {"token": phone.refresh_token, "token_type_hint": "refresh_token"}
    body: Any = {FORM: urlencode(fields), JSON: fields}[content_type]
    response = phone.client.post("/users/revoke/", body, content_type=content_type)
    assert (response.status_code, response.content) == (200, b"{}")
    assert response.headers["Cache-Control"] == "no-store"
    assert not phone.is_signed_in


def test_a_stale_access_token_in_the_header_does_not_spoil_it(phone: Phone) -> None:
    body = {"token": phone.refresh_token}
    response = phone.send("POST", "revoke", body, headers={"authorization": "Bearer stale"})
    assert response.status_code == HTTPStatus.OK
    assert not phone.is_signed_in


@pytest.mark.parametrize("token", ["x" * 8192, "eyJhbGciOiJub25lIn0.e30.", "axr_ x"])
def test_a_token_of_another_server_is_no_error(phone: Phone, token: str) -> None:
    response = phone.send("POST", "revoke", {"token": token, "token_type_hint": "y" * 99})
    assert (response.status_code, response.json()) == (200, {})
    assert phone.is_signed_in


@pytest.mark.parametrize(
    "body", [{}, {"token": ""}, {"token": None}, {"token": []}, {"token": 5}, {"token": "x" * 8193}]
)
def test_a_missing_or_malformed_token_is_named(phone: Phone, body: dict[str, Any]) -> None:
    response = phone.send("POST", "revoke", body)
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {"token"}
    assert phone.is_signed_in


def test_a_repeated_token_is_refused_and_ends_nothing(phone: Phone) -> None:
    body = urlencode({"token": phone.refresh_token}) + "&token=other"
    response = phone.client.post("/users/revoke", body, content_type=FORM)
    assert error_of(response) == (400, "invalid_request")
    assert phone.is_signed_in


def test_a_token_in_the_address_ends_nothing(phone: Phone) -> None:
    path = f"/users/revoke?{urlencode({'token': phone.refresh_token})}"
    assert error_of(phone.client.get(path)) == (405, "method_not_allowed")
    assert error_of(phone.client.post(path, content_type=JSON)) == (400, "invalid_request")
    assert phone.is_signed_in


@pytest.mark.portable
def test_revoking_twice_revokes_once(clock: Clock, phone: Phone) -> None:
    revoke(phone.refresh_token)
    revoked_at = DeviceSession.objects.get().revoked_at
    clock.forward(minutes=1)
    assert revoke(phone.refresh_token).content == b"{}"
    assert DeviceSession.objects.get().revoked_at == revoked_at


def test_an_event_that_ends_no_session_is_no_reason_to_revoke(phone: Phone) -> None:
    with pytest.raises(ValueError, match="does not end a session"):
        revoke_all(user_id=DeviceSession.objects.get().user_id, reason=EventKind.NEW_DEVICE)
    assert phone.is_signed_in
