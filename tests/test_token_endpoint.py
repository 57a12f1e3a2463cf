"""The token and the revocation endpoint are as RFC 6749 and RFC 7009 have them."""

from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

import pytest

from authx.models import DeviceSession
from tests.conftest import Clock
from tests.phone import CLIENT, Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

FORM = "application/x-www-form-urlencoded"
TOKENS = {"access_token", "token_type", "expires_in", "refresh_token"}
LIFETIMES = {"refresh_token_expires_in", "session_expires_in", "device"}

# What clients add to a request of their own accord, and what a client needs not.
ADDED = [
    {"client_id": "app"},
    {"client_id": ""},
    {"client_id": "app", "client_secret": "embedded"},
    {"scope": ""},
    {"scope": "admin everything"},
    {"resource": "https://api.example.com", "audience": "x", "client_assertion": "y"},
    {"unknown": "\u2603"},
]
BASIC = ["app:", "app:embedded", ":", "no colon", ""]


def grant(phone: Phone, **extra: str) -> dict[str, str]:
    return {"grant_type": "refresh_token", "refresh_token": phone.refresh_token} | extra


def post(path: str, body: Any, content_type: str = FORM, **headers: str) -> "ErrorResponse":
    return CLIENT.post(f"/users/{path}", body, content_type=content_type, headers=headers)


def basic(credentials: str) -> str:
    return "Basic " + b64encode(credentials.encode()).decode()


def assert_refreshed(phone: Phone, answer: "ErrorResponse") -> None:
    """Expect the answer of RFC 6749 section 5.1, no scope in it, whose tokens work."""
    assert answer.status_code == HTTPStatus.OK
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.headers["Cache-Control"], answer.headers["Pragma"]) == ("no-store", "no-cache")
    phone.pair = answer.json()
    assert set(phone.pair) == TOKENS | LIFETIMES | {"generation"}
    assert (phone.pair["token_type"], phone.pair["expires_in"]) == ("Bearer", 900)
    assert phone.is_signed_in


@pytest.mark.parametrize(
    "content_type",
    [FORM, f"{FORM};charset=UTF-8", f"{FORM}; charset=utf-8", f'{FORM.upper()}; Charset="utf-8"'],
)
@pytest.mark.parametrize("path", ["token", "token/"])
def test_a_form_is_read_with_a_charset_and_without_and_never_redirected(
    clock: Clock, phone: Phone, path: str, content_type: str
) -> None:
    assert_refreshed(phone, post(path, urlencode(grant(phone)), content_type))


def test_json_is_read_as_an_extra(clock: Clock, phone: Phone) -> None:
    assert_refreshed(phone, post("token", grant(phone), "application/json"))


@pytest.mark.parametrize("added", ADDED)
@pytest.mark.parametrize("content_type", [FORM, "application/json"])
def test_what_clients_add_is_ignored_and_no_scope_is_granted(
    clock: Clock, phone: Phone, content_type: str, added: dict[str, str]
) -> None:
    fields = grant(phone, **added)
    body = urlencode(fields) if content_type == FORM else fields
    assert_refreshed(phone, post("token", body, content_type))
    assert post("revoke", {"token": phone.access_token} | added, "application/json").json() == {}
    assert not phone.is_signed_in


@pytest.mark.parametrize("credentials", BASIC)
def test_a_client_that_sends_a_basic_header_is_served_by_its_token_alone(
    clock: Clock, phone: Phone, credentials: str
) -> None:
    header = {"authorization": basic(credentials)}
    assert_refreshed(phone, post("token", urlencode(grant(phone)), **header))
    revoked = post("revoke", urlencode({"token": phone.refresh_token}), **header)
    assert (revoked.status_code, revoked.content) == (200, b"{}")
    assert not phone.is_signed_in


@pytest.mark.parametrize(
    ("change", "error", "fields"),
    [
        ({"grant_type": ""}, "invalid_request", {"grant_type"}),
        ({"refresh_token": ""}, "invalid_request", {"refresh_token"}),
        ({"refresh_token": "x" * 513}, "invalid_request", {"refresh_token"}),
        ({"grant_type": "password", "username": "alice"}, "unsupported_grant_type", set()),
        ({"grant_type": "Refresh_Token"}, "unsupported_grant_type", set()),
        ({"grant_type": "password", "refresh_token": ""}, "unsupported_grant_type", set()),
        ({"refresh_token": "unknown"}, "invalid_grant", set()),
    ],
)
def test_a_refusal_is_a_400_with_a_code_and_without_a_challenge(
    phone: Phone, change: dict[str, str], error: str, fields: set[str]
) -> None:
    answer = post("token", urlencode(grant(phone) | change))
    assert error_of(answer) == (400, error)
    assert set(answer.json().get("fields", {})) == fields
    assert answer.json()["error_description"].isascii()
    assert answer.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in answer.headers
    assert phone.refresh().is_signed_in


@pytest.mark.parametrize("name", ["grant_type", "refresh_token"])
def test_a_parameter_that_is_left_out_is_the_same_as_an_empty_one(phone: Phone, name: str) -> None:
    fields = grant(phone)
    empty = post("token", urlencode(fields | {name: ""}))
    del fields[name]
    left_out = post("token", urlencode(fields))
    assert error_of(left_out) == error_of(empty) == (400, "invalid_request")
    assert set(left_out.json()["fields"]) == set(empty.json()["fields"]) == {name}


@pytest.mark.parametrize("name", ["grant_type", "refresh_token", "client_id", "scope", "unknown"])
@pytest.mark.parametrize("path", ["token", "revoke"])
def test_a_repeated_parameter_is_refused_whichever_it_is(
    phone: Phone, path: str, name: str
) -> None:
    fields = grant(phone, token=phone.refresh_token, client_id="app", scope="x", unknown="y")
    answer = post(path, f"{urlencode(fields)}&{name}={fields[name]}")
    assert error_of(answer) == (400, "invalid_request")
    assert set(answer.json()["fields"]) == {name}
    assert phone.refresh().is_signed_in


def test_a_token_in_the_address_is_not_read(phone: Phone) -> None:
    answer = post(f"token?{urlencode(grant(phone))}", "")
    assert error_of(answer) == (400, "invalid_request")
    assert DeviceSession.objects.get().generation == 0


def test_a_stale_access_token_in_the_header_is_ignored(clock: Clock, phone: Phone) -> None:
    assert_refreshed(phone, post("token", urlencode(grant(phone)), authorization="Bearer stale"))
