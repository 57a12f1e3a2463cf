"""Whatever is typed into a form or a URL of the pages is an error of the form, and none of ours."""

import json
from http import HTTPStatus
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.test import Client
from django.utils.http import urlsafe_base64_encode

from authx.audit import links
from authx.models import DeviceSession
from tests.account import BASE, browser, signed_in, with_address
from tests.phone import Phone

# Other tests cover the same lines, at less cost.
pytestmark = [pytest.mark.django_db, pytest.mark.no_cover]

# Percent-encoded: NUL, a lone surrogate, bytes that are no text, a line break, and very much.
HOSTILE = [
    "%00",
    "a%00b",
    "%ED%A0%80",
    "%FF%FE",
    "a%0D%0Ab",
    "%2Fa%00b",
    "%2Fa%0D%0Ab",
    "x" * 100_000,
]
FORMS = {
    "sign-in/": ["username", "password", "next"],
    "recover/": ["username"],
    "recover/password/": ["token", "new_password"],
    "not-me/": ["token", "everything"],
    "password/": ["current_password", "new_password"],
    "devices/{id}/rename/": ["name"],
}
FIELDS = [(path, field) for path, fields in FORMS.items() for field in fields]
QUERIES = [
    "?done=",
    "activity/?page=",
    "sign-in/?next=",
    "recover/password/?token=",
    "not-me/?token=",
]
JSON_HOSTILE = ["\0", "a\0b", "\ud800", "x" * 100_000]


@pytest.fixture
def alice(alice: User, without_limits: None) -> User:
    return with_address(alice)


def sent(client: Client, path: str, form: dict[str, str]) -> Any:
    body = "&".join(f"{name}={value}" for name, value in form.items())
    return client.post(path, body, content_type="application/x-www-form-urlencoded")


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: text[:12])
@pytest.mark.parametrize(("path", "field"), FIELDS)
def test_a_hostile_field_of_a_form_is_no_failure(
    alice: User, path: str, field: str, hostile: str
) -> None:
    client = signed_in()
    path = BASE + path.format(id=DeviceSession.objects.get().pk)
    form = dict.fromkeys(["username", "password", "new_password", "current_password"], "alice")
    assert sent(client, path, form | {field: hostile}).status_code < 500
    assert sent(browser(), path, form | {field: hostile}).status_code < 500


@pytest.mark.parametrize("hostile", HOSTILE, ids=lambda text: text[:12])
def test_a_hostile_parameter_or_cookie_is_no_failure(alice: User, hostile: str) -> None:
    client = signed_in()
    for query in QUERIES:
        for asking in (client, browser()):
            assert asking.get(BASE + query + hostile).status_code < 500
    for name in ("sessionid", "authx_device", "csrftoken"):
        asking = browser(headers={"cookie": f"{name}={hostile}"})
        assert asking.get(f"{BASE}sign-in/").status_code == HTTPStatus.OK
        assert asking.get(BASE).status_code == HTTPStatus.FOUND


@pytest.mark.parametrize("hostile", ["%00", "x", "1" * 200, "%ED%A0%80"])
def test_a_hostile_device_does_not_exist(alice: User, hostile: str) -> None:
    client = signed_in()
    for action in ("end", "rename"):
        answer = client.post(f"{BASE}devices/{hostile}/{action}/")
        assert answer.status_code == HTTPStatus.NOT_FOUND


@pytest.mark.parametrize("hostile", JSON_HOSTILE, ids=["nul", "nul within", "surrogate", "long"])
@pytest.mark.parametrize("field", ["username", "token", "new_password", "device"])
def test_a_hostile_field_of_an_app_is_refused(alice: User, field: str, hostile: str) -> None:
    value: Any = {"name": hostile} if field == "device" else hostile
    path = "recover" if field == "username" else "recover/confirm"
    body = json.dumps({"token": "MQ.x-y", "new_password": "a long password"} | {field: value})
    answer = Phone().client.post(f"/users/{path}", body, content_type="application/json")
    assert HTTPStatus.BAD_REQUEST <= answer.status_code < HTTPStatus.INTERNAL_SERVER_ERROR


@pytest.mark.parametrize("key", ["\0", "a\0b", "\U0001f511" * 20_000])
def test_a_forged_token_is_refused_where_keys_of_users_are_texts(
    monkeypatch: pytest.MonkeyPatch, key: str
) -> None:
    # Any table with a text for its key.
    monkeypatch.setattr(links, "user_manager", lambda: Session.objects)
    token = f"{urlsafe_base64_encode(key.encode())}.x-y"
    assert browser().get(f"{BASE}recover/password/?token={quote(token)}").status_code == 400
