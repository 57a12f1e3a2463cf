"""Every answer carries the headers that keep it out of caches, frames and other sites."""

from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.test import Client
from rest_framework.exceptions import Throttled

from authx.rest.views.account import MeView
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db

API = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains; preload",
    "Vary": "origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
PAGE_POLICY = {
    "default-src 'self'",
    "base-uri 'none'",
    "form-action 'self'",
    "frame-ancestors 'none'",
    "img-src 'self' data:",
    "object-src 'none'",
    "style-src 'self' 'unsafe-inline'",
}


@pytest.fixture
def client(settings: Any) -> Client:
    settings.SECURE_HSTS_SECONDS = 31536000
    settings.SECURE_HSTS_INCLUDE_SUBDOMAINS = settings.SECURE_HSTS_PRELOAD = True
    return Client(raise_request_exception=False)


def error_headers(response: Any) -> dict[str, str | None]:
    return {name: response.headers.get(name) for name in API}


@pytest.mark.parametrize(
    ("status", "method", "path"),
    [
        (400, "POST", "/users/login"),
        (401, "GET", "/users/me"),
        (404, "GET", "/"),
        (404, "POST", "/users/nothing"),
        (405, "PUT", "/users/login"),
        (415, "POST", "/users/token"),
    ],
)
def test_a_refusal_carries_them_all(client: Client, status: int, method: str, path: str) -> None:
    media_type = "text/plain" if status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE else "application/json"
    response = client.generic(method, path, "{", content_type=media_type, secure=True)
    assert response.status_code == status
    assert error_headers(response) == API
    assert response.headers["Content-Type"] == "application/json"


def test_a_bad_host_gets_them_too(client: Client) -> None:
    response = client.get("/users/me", headers={"host": "evil.example"}, secure=True)
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert error_headers(response) == API


def test_a_success_carries_them_all(client: Client, alice: User) -> None:
    body = {"username": "alice", "password": PASSWORD}
    pair = client.post("/users/login", body, content_type="application/json", secure=True)
    phone = Phone(client=client, pair=pair.json())
    assert error_headers(pair) == error_headers(phone.send("GET", "me", secure=True)) == API


@pytest.mark.parametrize(
    ("error", "status"), [(ZeroDivisionError(), 500), (Throttled(wait=3), 429)], ids=str
)
def test_a_failure_and_a_limit_carry_them_all(
    client: Client, phone: Phone, error: Exception, status: int
) -> None:
    phone = Phone(client=client, pair=phone.pair)
    with mock.patch.object(MeView, "get", side_effect=error):
        response = phone.send("GET", "me", secure=True)
    assert response.status_code == status
    assert error_headers(response) == API


@pytest.mark.parametrize("path", ["/admin/login/", "/api/docs"])
def test_a_page_loads_from_here_alone_and_stands_in_no_frame(client: Client, path: str) -> None:
    response = client.get(path, secure=True)
    assert response.status_code == HTTPStatus.OK
    assert set(response.headers["Content-Security-Policy"].split("; ")) == PAGE_POLICY
    assert response.headers["Referrer-Policy"] == "same-origin"
    assert response.headers["X-Frame-Options"] == "DENY"
    assert response.headers["X-Content-Type-Options"] == "nosniff"
