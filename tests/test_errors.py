"""Every refusal has one shape, whatever went wrong and whoever noticed it."""

import json
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import InterfaceError, OperationalError, connection

from authx.errors import ConflictError
from authx.models import DeviceSession
from authx.rest import exceptions
from authx.rest.views.account import MeView
from authx.sessions import refresh
from tests.failing_database import fail_every_statement
from tests.phone import PASSWORD, Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

FORM = "application/x-www-form-urlencoded"
ALICE = {"username": "alice", "password": PASSWORD}
PUBLIC_PATHS = ["login", "token", "revoke"]
BEARER_PATHS = ["logout-all", "password"]
SECRET = "the address of the database"


def post(path: str, body: bytes, content_type: str = "application/json") -> "ErrorResponse":
    return Phone().client.generic("POST", f"/users/{path}", body, content_type)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
@pytest.mark.parametrize("path", ["/", "/nothing", "/users/", "/users/nothing", "/users/me/me"])
def test_an_unknown_address_is_not_found(phone: Phone, method: str, path: str) -> None:
    response = phone.client.generic(method, path)
    assert error_of(response) == (404, "not_found")
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("GET", "login", "POST"),
        ("OPTIONS", "login", "POST"),
        ("PUT", "token", "POST"),
        ("DELETE", "revoke", "POST"),
        ("POST", "me", "GET"),
        ("GET", "logout", "POST"),
        ("PUT", "devices/x", "GET, PATCH, DELETE"),
    ],
)
def test_a_wrong_method_gets_the_allowed_ones(
    phone: Phone, method: str, path: str, allowed: str
) -> None:
    response = phone.send(method, path)
    assert error_of(response) == (405, "method_not_allowed")
    assert set(allowed.split(", ")) <= set(response.headers["Allow"].split(", "))
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize(
    "content_type", ["multipart/form-data; boundary=x", "text/plain", "application/xml", "", "x"]
)
def test_another_content_type_is_not_read(alice: User, content_type: str) -> None:
    response = post("login", json.dumps(ALICE).encode(), content_type)
    assert error_of(response) == (415, "unsupported_media_type")
    assert not DeviceSession.objects.exists()


@pytest.mark.parametrize("path", BEARER_PATHS)
def test_a_form_is_not_read_where_only_json_is(phone: Phone, path: str) -> None:
    response = phone.client.post(
        f"/users/{path}",
        b"keep_current=true",
        content_type=FORM,
        headers={"authorization": f"Bearer {phone.access_token}"},
    )
    assert error_of(response) == (415, "unsupported_media_type")
    assert phone.is_signed_in


@pytest.mark.parametrize("accept", ["text/html", "application/problem+json", "x", ""])
def test_an_answer_is_json_whatever_is_asked_for(phone: Phone, accept: str) -> None:
    response = phone.send("GET", "me", headers={"accept": accept})
    assert response.status_code == HTTPStatus.OK
    assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize("path", PUBLIC_PATHS)
@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"{'a': 1}",
        b'{"a": NaN}',
        b'{"a": Infinity}',
        b'{"a": 1, "a": 1}',
        b'{"device": {"name": "a", "name": "b"}}',
        b"[" * 30_000,
        b'{"a":' * 10_000,
        b"1" * 5_000,
        b'{"username": "\xff"}',
        b"\xff\xfe",
        b"\0",
        b"[]",
        b"null",
        b"true",
        b'"text"',
        b"7",
        b"1e999",
    ],
)
def test_what_is_no_json_object_is_malformed(db: None, path: str, body: bytes) -> None:
    response = post(path, body)
    assert error_of(response) == (400, "invalid_request")
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("member", ["NaN", "-Infinity", "07", "1.", '{"a": 1, "a": 2}'])
def test_a_sign_in_with_one_member_that_is_no_json_is_malformed(alice: User, member: str) -> None:
    body = json.dumps(ALICE | {"other": "@"})
    response = post("login", body.replace('"@"', member).encode())
    assert error_of(response) == (400, "invalid_request")
    assert not DeviceSession.objects.exists()
    assert post("login", body.encode()).status_code == HTTPStatus.OK


@pytest.mark.parametrize("text", [r"\ud800", r"\udfff\ud800", r"\u0000", r"a\u0000b"])
@pytest.mark.parametrize(
    ("path", "field"),
    [("login", "username"), ("login", "password"), ("token", "refresh_token"), ("revoke", "token")],
)
def test_text_that_no_database_can_hold_is_named(
    alice: User, path: str, field: str, text: str
) -> None:
    body = {**ALICE, "grant_type": "refresh_token", "refresh_token": "x", "token": "x", field: "@"}
    response = post(path, json.dumps(body).replace("@", text).encode())
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {field}


@pytest.mark.parametrize("text", [r"\ud800", r"\u0000"])
@pytest.mark.parametrize("field", ["installation_id", "name", "platform", "app_version"])
def test_odd_text_about_a_device_never_fails(alice: User, field: str, text: str) -> None:
    body = ALICE | {"device": {field: "a@b"}}
    response = post("login", json.dumps(body).replace("@", text).encode())
    assert response.status_code in {HTTPStatus.OK, HTTPStatus.BAD_REQUEST}


@pytest.mark.parametrize("path", PUBLIC_PATHS)
@pytest.mark.parametrize("content_type", ["application/json", FORM])
def test_a_body_too_large_is_not_parsed(db: None, path: str, content_type: str) -> None:
    with mock.patch("json.loads") as parse:
        response = post(path, b"x" * 70 * 1024, content_type)
    assert error_of(response) == (413, "payload_too_large")
    assert not parse.called


@pytest.mark.parametrize("path", BEARER_PATHS)
def test_a_body_too_large_is_refused_to_a_signed_in_user(phone: Phone, path: str) -> None:
    response = phone.send("POST", path, {"x": "x" * 70 * 1024})
    assert error_of(response) == (413, "payload_too_large")
    assert phone.is_signed_in


def test_a_form_of_too_many_fields_is_too_large(db: None) -> None:
    assert error_of(post("login", b"a=&" * 2000, FORM)) == (413, "payload_too_large")


@pytest.mark.parametrize("charset", ["nonsense", "zlib", "base64", "idna", "utf-16", "undefined"])
def test_no_charset_of_a_form_makes_it_fail(db: None, charset: str) -> None:
    response = post("login", b"username=\xff&password=x", f"{FORM}; charset={charset}")
    assert error_of(response)[0] == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("host", ["evil.example", "127.0.0.1:x", "a b", ""])
def test_an_unknown_host_is_malformed(db: None, host: str) -> None:
    response = Phone().client.get("/users/me", headers={"host": host})
    assert error_of(response) == (400, "invalid_request")


@pytest.mark.parametrize("address", ["unknown", "10.0.0.1:4711", "[::1]:4711", "_hidden", ""])
def test_no_forwarded_address_makes_a_sign_in_fail(
    settings: Any, alice: User, address: str
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}
    response = Phone().client.post(
        "/users/login",
        ALICE,
        content_type="application/json",
        headers={"x-forwarded-for": f"192.0.2.1, {address}"},
    )
    assert response.status_code == HTTPStatus.OK
    assert DeviceSession.objects.get().last_ip in {None, "10.0.0.1", "::1"}


def test_a_failure_of_ours_says_nothing_of_the_inside(phone: Phone) -> None:
    with mock.patch.object(MeView, "get", side_effect=RuntimeError(SECRET)):
        response = phone.call()
    assert error_of(response) == (500, "server_error")
    assert SECRET not in response.content.decode()
    assert response.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("error", [OperationalError(SECRET), InterfaceError(SECRET)])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "login"),
        ("POST", "token"),
        ("POST", "revoke"),
        ("GET", "me"),
        ("GET", "devices"),
        ("POST", "logout"),
        ("POST", "password"),
    ],
)
def test_a_database_outage_ends_no_session(
    phone: Phone, method: str, path: str, error: Exception
) -> None:
    tokens = {"token": phone.refresh_token, "refresh_token": phone.refresh_token}
    body = ALICE | tokens | {"grant_type": "refresh_token"}
    with connection.execute_wrapper(fail_every_statement(error)):
        response = phone.send(method, path, body)
    assert error_of(response) == (503, "temporarily_unavailable")
    assert response.headers["Retry-After"] == "5"
    assert response.headers["Cache-Control"] == "no-store"
    assert "WWW-Authenticate" not in response.headers
    assert SECRET not in response.content.decode()
    assert phone.refresh().is_signed_in


def test_a_refresh_that_keeps_losing_asks_to_come_back(phone: Phone) -> None:
    with mock.patch.object(refresh, "_rotate", side_effect=ConflictError):
        response = phone.try_refresh()
    assert error_of(response) == (503, "temporarily_unavailable")
    assert response.headers["Retry-After"] == "5"
    assert phone.refresh().is_signed_in


def test_a_request_that_keeps_losing_asks_to_come_back(phone: Phone) -> None:
    with mock.patch.object(MeView, "get", side_effect=ConflictError):
        response = phone.call()
    assert error_of(response) == (503, "temporarily_unavailable")


@pytest.mark.parametrize(
    "answer",
    [
        *exceptions.ERROR_RESPONSES.values(),
        exceptions.SERVER_ERROR,
        exceptions.FORBIDDEN,
        exceptions.TOO_LARGE,
    ],
)
def test_codes_and_sentences_keep_to_the_characters_of_the_rfc(
    answer: exceptions.ErrorResponse,
) -> None:
    # RFC 6749 section 5.2: printable ASCII without the quote and the backslash.
    text = answer.code + answer.description
    assert text.isascii()
    assert text.isprintable()
    assert '"' not in text
    assert "\\" not in text
