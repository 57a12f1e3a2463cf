"""Garbage in any field of any endpoint: one shape of refusal, nothing written, nothing echoed."""

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from uuid import UUID

import pytest
from django.apps import apps
from django.utils import timezone

from authx import tokens
from authx.codec import token_codec
from authx.contrib.introspection.models import Service
from authx.tokens import Token, TokenKind
from tests.phone import PASSWORD, Phone, error_of
from tests.services import basic, new_service

# Other tests cover the same lines, at less cost.
pytestmark = pytest.mark.no_cover

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

MARK = "what-was-sent"
NEW_PASSWORD = "another horse entirely, honest"

# Every endpoint that reads a body, with one that it would take.
GOOD: dict[str, dict[str, Any]] = {
    "POST login": {
        "username": "alice",
        "password": PASSWORD,
        "device": {"installation_id": "x", "name": "x", "platform": "x", "app_version": "x"},
    },
    "POST token": {"grant_type": "refresh_token", "refresh_token": MARK},
    "POST revoke": {"token": MARK, "token_type_hint": "refresh_token"},
    "POST introspect": {"token": MARK, "token_type_hint": "access_token"},
    "POST logout-all": {"keep_current": True},
    "POST password": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    "PATCH devices/{id}": {"name": "x"},
}
PUBLIC = {"POST login", "POST token", "POST revoke"}
# What only another service may ask, with the refusal of its credential.
SERVICES = {"introspect": "invalid_client"}
BODILESS = [
    *("GET me", "POST logout", "GET activity"),
    *("GET devices", "GET devices/{id}", "DELETE devices/{id}"),
]
ENDPOINTS = [*GOOD, *BODILESS]
FIELDS = [(endpoint, field) for endpoint, body in GOOD.items() for field in body]
LABELS = [("POST login", f"device.{label}") for label in GOOD["POST login"]["device"]]
# A label is cleaned of what it may not hold: test_login.py, test_devices.py.
TEXTS = [one for one in FIELDS if one[1] not in {"device", "name"}]
NEEDED = [one for one in TEXTS if one[1] not in {"token_type_hint", "keep_current"}]

WRONG = ["null", "5", "1e400", "9" * 400, "[]", f'["{MARK}"]', "[" * 400 + "]" * 400]
AN_OBJECT = f'{{"{MARK}": "{MARK}"}}'
UNSPEAKABLE = [f"\\ud800{MARK}", f"{MARK}\\u0000", MARK * 3000, MARK * 9000]
MALFORMED = [
    f'{{"{MARK}": 1, "{MARK}": 2}}'.encode(),
    f'{{"{MARK}": "\xff"}}'.encode("latin-1"),
    f'{{"{MARK}"'.encode(),
    b"[" * 30_000,
    b"\x00",
    b"\xff\xfe",
]
CONTENT_TYPES = [
    "text/html",
    "application/xml",
    "multipart/form-data; boundary=x",
    "json",
    "\xff/*",
]
METHODS = ["PUT", "TRACE", "OPTIONS", "PROPFIND", "CONNECT", "X" * 100]
HEADERS = ["HTTP_USER_AGENT", "HTTP_X_FORWARDED_FOR", "HTTP_ACCEPT", "HTTP_COOKIE", "HTTP_HOST"]


@dataclass
class Caller(Phone):
    """Alice's phone, and another service at its side."""

    service: str = ""

    def authorization(self, endpoint: str) -> str:
        return self.service if endpoint.split()[1] in SERVICES else f"Bearer {self.access_token}"


@pytest.fixture
def phone(phone: Phone) -> Caller:
    service = new_service()
    # That it is used is noted already, so that a refusal has nothing to write.
    Service.objects.update(last_used_at=timezone.now())
    return Caller(**vars(phone), service=basic(service.pk, service.raw_secret))


def everything() -> list[Any]:
    """Return every row of every table."""
    return [list(model._base_manager.order_by("pk").values()) for model in apps.get_models()]


def send(phone: Caller, endpoint: str, body: bytes | str, **options: Any) -> "ErrorResponse":
    method, path = endpoint.split()
    return phone.client.generic(
        method,
        "/users/" + path.format(id=phone.session_id),
        body,
        **{
            "content_type": "application/json",
            "HTTP_AUTHORIZATION": phone.authorization(endpoint),
        }
        | options,
    )


def with_field(endpoint: str, field: str, value: str) -> str:
    """Return the good body as JSON with one field, or one of an object, set to a JSON text."""
    body = json.loads(json.dumps(GOOD[endpoint]))
    *outer, name = field.split(".")
    (body[outer[0]] if outer else body)[name] = "@value@"
    return json.dumps(body).replace('"@value@"', value)


def assert_refused(answer: "ErrorResponse") -> None:
    assert 400 <= error_of(answer)[0] < 500
    assert answer.headers["Cache-Control"] == "no-store"
    assert MARK.encode() not in answer.content
    assert PASSWORD.encode() not in answer.content


@pytest.mark.parametrize(("endpoint", "field"), FIELDS + LABELS)
def test_a_field_of_another_type_is_refused(phone: Caller, endpoint: str, field: str) -> None:
    # Of the one object, members that no description names are ignored.
    wrong = WRONG if field == "device" else [*WRONG, AN_OBJECT]
    before = everything()
    for value in wrong:
        assert_refused(send(phone, endpoint, with_field(endpoint, field, value)))
    assert everything() == before


@pytest.mark.parametrize(("endpoint", "field"), TEXTS)
def test_text_with_control_characters_is_refused(phone: Caller, endpoint: str, field: str) -> None:
    before = everything()
    for text in UNSPEAKABLE:
        assert_refused(send(phone, endpoint, with_field(endpoint, field, f'"{text}"')))
    assert everything() == before


@pytest.mark.parametrize(("endpoint", "field"), NEEDED)
def test_an_empty_field_counts_as_missing(phone: Caller, endpoint: str, field: str) -> None:
    answer = send(phone, endpoint, with_field(endpoint, field, '""'))
    assert error_of(answer) == (400, "invalid_request")
    assert set(answer.json()["fields"]) == {field}


@pytest.mark.parametrize("endpoint", GOOD)
def test_a_body_that_is_no_json_is_refused(phone: Caller, endpoint: str) -> None:
    before = everything()
    for body in MALFORMED:
        assert_refused(send(phone, endpoint, body))
    assert everything() == before


@pytest.mark.parametrize("endpoint", GOOD)
def test_ten_megabytes_are_not_read(phone: Caller, endpoint: str) -> None:
    before = everything()
    answer = send(phone, endpoint, MARK.encode() * 800_000)
    assert error_of(answer) == (413, "payload_too_large")
    assert everything() == before


@pytest.mark.parametrize("endpoint", GOOD)
def test_an_unsupported_content_type_is_refused(phone: Caller, endpoint: str) -> None:
    before, body = everything(), json.dumps(GOOD[endpoint])
    for content_type in CONTENT_TYPES:
        answer = send(phone, endpoint, body, content_type=content_type)
        assert error_of(answer) == (415, "unsupported_media_type")
    assert everything() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_method_that_is_not_offered_is_refused(phone: Caller, endpoint: str) -> None:
    before = everything()
    for method in METHODS:
        answer = send(phone, f"{method} {endpoint.split()[1]}", b"{}")
        assert error_of(answer) == (405, "method_not_allowed")
    assert everything() == before


@pytest.mark.parametrize("endpoint", ENDPOINTS)
def test_a_header_of_any_bytes_breaks_nothing(phone: Caller, endpoint: str) -> None:
    body, any_bytes = json.dumps(GOOD.get(endpoint, {})), "".join(map(chr, range(1, 256)))
    for header in HEADERS:
        answer = send(phone, endpoint, body, **{header: any_bytes})
        assert answer.status_code < 500, header
        assert answer.headers.get("Content-Type", "application/json") == "application/json", header


@pytest.mark.parametrize("endpoint", [one for one in ENDPOINTS if one not in PUBLIC])
def test_ten_authorization_headers_are_refused(phone: Caller, endpoint: str) -> None:
    before = everything()
    # A web server hands several headers of a name over as one, joined by commas.
    header = ",".join([phone.authorization(endpoint)] * 10)
    answer = send(phone, endpoint, json.dumps(GOOD.get(endpoint, {})), HTTP_AUTHORIZATION=header)
    assert error_of(answer) == (401, SERVICES.get(endpoint.split()[1], "invalid_token"))
    assert everything() == before


@pytest.mark.parametrize(
    "device_id",
    [
        "%00",
        "%FF",
        "0",
        "-1",
        "9" * 400,
        "01234567-89ab-4def-8123-456789abcdef",
        str(UUID(int=0)),
        "..",
        "%2e%2e",
        "a" * 8000,
    ],
    ids=lambda text: text[:8],
)
def test_a_device_id_that_is_none_is_not_found(phone: Phone, device_id: str) -> None:
    before = everything()
    for method in ("GET", "PATCH", "DELETE"):
        answer = phone.send(method, f"devices/{device_id}", {"name": MARK})
        assert error_of(answer) == (404, "not_found")
    assert everything() == before


@pytest.mark.parametrize("generation", [1, 2**31 - 1, 2**31, 2**32 - 1])
def test_a_genuine_token_of_a_generation_that_never_was_is_refused(
    phone: Phone, generation: int
) -> None:
    before = everything()
    ahead = {
        kind: token_codec().mint(
            Token(kind, UUID(phone.session_id), generation, tokens.new_secret())
        )
        for kind in TokenKind
    }
    assert error_of(phone.try_refresh(ahead[TokenKind.REFRESH])) == (400, "invalid_grant")
    phone.pair["access_token"] = ahead[TokenKind.ACCESS]
    assert error_of(phone.call()) == (401, "invalid_token")
    assert everything() == before
