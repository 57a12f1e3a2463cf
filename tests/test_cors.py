"""Scripts of other sites read nothing, unless the site is listed; and then no cookie counts."""

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import pytest

from tests.phone import Phone

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

LISTED = "https://app.example.com"
OTHERS = [
    "https://evil.example",
    "http://app.example.com",
    "https://app.example.com.evil.example",
    "https://app.example.com:8443",
    "https://APP.example.org",
    "null",
]

pytestmark = pytest.mark.django_db


def shown(response: "ErrorResponse") -> dict[str, str]:
    return {
        name.lower(): value
        for name, value in response.headers.items()
        if name.lower().startswith("access-control-")
    }


def preflight(path: str, origin: str) -> "ErrorResponse":
    headers = {
        "origin": origin,
        "access-control-request-method": "PATCH",
        "access-control-request-headers": "authorization",
    }
    return Phone().client.options(path, headers=headers)


@pytest.fixture
def listed(settings: Any) -> None:
    settings.CORS_ALLOWED_ORIGINS = [LISTED]


@pytest.mark.parametrize("origin", [LISTED, *OTHERS])
def test_no_site_is_let_in_unless_one_is_listed(origin: str) -> None:
    asked = Phone().client.get("/users/me", headers={"origin": origin})
    assert shown(asked) == shown(preflight("/users/me", origin)) == {}


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("origin", OTHERS)
def test_a_site_that_is_not_listed_is_shown_nothing(origin: str) -> None:
    asked = Phone().client.get("/users/me", headers={"origin": origin})
    assert shown(asked) == shown(preflight("/users/me", origin)) == {}


@pytest.mark.usefixtures("listed")
def test_a_listed_site_asks_first_and_learns_what_it_may_send() -> None:
    response = preflight("/users/devices/x", LISTED)
    assert response.status_code == HTTPStatus.OK
    assert shown(response) == {
        "access-control-allow-origin": LISTED,
        "access-control-allow-methods": "GET, POST, PATCH, DELETE",
        "access-control-allow-headers": "authorization, content-type, idempotency-key",
        "access-control-expose-headers": (
            "Authentication-Info, Retry-After, WWW-Authenticate, X-Request-ID"
        ),
        "access-control-max-age": "86400",
    }


@pytest.mark.usefixtures("listed")
@pytest.mark.parametrize("path", ["/users/me", "/nothing"])
def test_a_listed_site_reads_refusals_too(path: str) -> None:
    response = Phone().client.get(path, headers={"origin": LISTED})
    assert shown(response)["access-control-allow-origin"] == LISTED
    assert "WWW-Authenticate" in shown(response)["access-control-expose-headers"]
    assert "access-control-allow-credentials" not in shown(response)
    assert "origin" in response.headers["Vary"]


@pytest.mark.usefixtures("listed")
def test_an_html_page_is_shared_with_no_origin() -> None:
    response = Phone().client.get("/admin/login/", headers={"origin": LISTED})
    assert shown(response) == {}
