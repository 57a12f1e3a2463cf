"""The API refuses what comes in the clear instead of redirecting it, and processes none of it."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client

from authx.models import DeviceSession
from tests.phone import PASSWORD, Phone, error_of

ALICE = {"username": "alice", "password": PASSWORD}

pytestmark = pytest.mark.django_db


@pytest.fixture(autouse=True)
def _https_only(settings: Any) -> None:
    settings.SECURE_SSL_REDIRECT = True


@pytest.fixture
def client() -> Client:
    """Return a client of its own: the middleware reads the settings when it is loaded."""
    return Client(raise_request_exception=False)


@pytest.mark.parametrize("path", ["users/me", "users/token", "", "nothing", ".well-known/x", "api"])
@pytest.mark.parametrize("method", ["GET", "POST", "OPTIONS"])
def test_an_api_path_is_refused_and_not_redirected(client: Client, method: str, path: str) -> None:
    response = client.generic(method, f"/{path}")
    assert error_of(response) == (403, "forbidden")
    assert response.headers["X-Request-ID"]


def test_a_sign_in_over_plain_http_opens_no_session(client: Client, alice: User) -> None:
    refused = client.post("/users/login", ALICE, content_type="application/json")
    assert error_of(refused) == (403, "forbidden")
    assert not DeviceSession.objects.exists()
    taken = client.post("/users/login", ALICE, content_type="application/json", secure=True)
    assert taken.status_code == HTTPStatus.OK


def test_a_token_over_plain_http_is_not_used(client: Client, alice: User) -> None:
    phone = Phone(client=client)
    taken = client.post("/users/login", ALICE, content_type="application/json", secure=True)
    phone.pair = taken.json()
    assert error_of(phone.call()) == (403, "forbidden")
    assert error_of(phone.try_refresh()) == (403, "forbidden")
    assert DeviceSession.objects.get().generation == 0
    assert phone.send("GET", "me", secure=True).status_code == HTTPStatus.OK


@pytest.mark.parametrize("path", ["/admin/", "/admin/login/?next=/", "/api/docs"])
def test_an_html_page_is_redirected(client: Client, path: str) -> None:
    response = client.get(path)
    assert response.status_code == HTTPStatus.MOVED_PERMANENTLY
    assert response.headers["Location"] == f"https://testserver{path}"


def test_a_probe_from_inside_needs_no_tls(client: Client) -> None:
    assert client.get("/health/live").status_code == HTTPStatus.NOT_FOUND


def test_a_claim_of_tls_from_an_untrusted_client_changes_nothing(client: Client) -> None:
    response = client.get("/users/me", headers={"x-forwarded-proto": "https"})
    assert error_of(response) == (403, "forbidden")


@pytest.mark.parametrize(("scheme", "status"), [("https", 401), ("http", 403), ("", 403)])
def test_a_claim_of_tls_from_our_proxy_counts(
    settings: Any, client: Client, scheme: str, status: int
) -> None:
    settings.SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
    response = client.get("/users/me", headers={"x-forwarded-proto": scheme})
    assert response.status_code == status
