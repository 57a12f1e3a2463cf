"""Users of a website stay signed in when a project replaces Django's password backend."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import BACKEND_SESSION_KEY
from django.contrib.auth.models import User
from django.contrib.sessions.backends.db import SessionStore
from django.http import HttpResponse
from django.test import AsyncRequestFactory, Client

from authx.passwords.backends import ModelBackend
from authx.rest.website import REPLACED, WebsiteSessionMiddleware

ALLAUTH = "allauth.account.auth_backends.AuthenticationBackend"
OURS = "authx.passwords.backends.ModelBackend"
MIDDLEWARE = "authx.rest.website.WebsiteSessionMiddleware"
SESSIONS = "django.contrib.sessions.middleware.SessionMiddleware"

pytestmark = pytest.mark.django_db


class OwnBackend(ModelBackend):
    pass


@pytest.fixture
def operator(alice: User) -> User:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    return alice


@pytest.fixture(autouse=True)
def _djangos_sessions(settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"


@pytest.fixture
def website(settings: Any) -> None:
    place = settings.MIDDLEWARE.index(SESSIONS) + 1
    settings.MIDDLEWARE = [*settings.MIDDLEWARE[:place], MIDDLEWARE, *settings.MIDDLEWARE[place:]]


def signed_in_before(operator: User, settings: Any, client: Any) -> Any:
    """Return a client whose session was opened by Django's backend, which is then replaced."""
    backends = settings.AUTHENTICATION_BACKENDS
    settings.AUTHENTICATION_BACKENDS = [REPLACED]
    client.force_login(operator, REPLACED)
    settings.AUTHENTICATION_BACKENDS = backends
    return client


def test_without_the_middleware_a_replaced_backend_signs_out(operator: User, settings: Any) -> None:
    assert signed_in_before(operator, settings, Client()).get("/admin/").status_code == 302


@pytest.mark.usefixtures("website")
@pytest.mark.parametrize("backend", [OURS, f"{__name__}.OwnBackend"])
def test_a_cookie_outlives_the_replacement_of_the_backend(
    operator: User, settings: Any, backend: str
) -> None:
    settings.AUTHENTICATION_BACKENDS = [backend]
    browser = signed_in_before(operator, settings, Client())
    assert [browser.get("/admin/").status_code for _ in range(2)] == [200, 200]
    assert browser.session[BACKEND_SESSION_KEY] == backend


@pytest.mark.parametrize(
    ("opened_by", "now"), [(REPLACED, OURS), (ALLAUTH, ALLAUTH)], ids=["django", "other"]
)
def test_a_cookie_outlives_the_replacement_under_asgi_too(opened_by: str, now: str) -> None:
    async def view(request: Any) -> HttpResponse:
        return HttpResponse(await request.session.aget(BACKEND_SESSION_KEY))

    request: Any = AsyncRequestFactory().get("/")
    request.session = SessionStore()
    request.session[BACKEND_SESSION_KEY] = opened_by
    request.session.create()
    middleware: Any = WebsiteSessionMiddleware(view)
    assert async_to_sync(middleware)(request).content.decode() == now


@pytest.mark.usefixtures("website")
def test_a_session_from_before_a_new_password_stays_ended(operator: User, settings: Any) -> None:
    browser = signed_in_before(operator, settings, Client())
    operator.set_password("another long password")
    operator.save()
    assert browser.get("/admin/").status_code == 302


@pytest.mark.usefixtures("website")
def test_a_session_is_left_alone_without_a_backend_of_authx(operator: User, settings: Any) -> None:
    browser = signed_in_before(operator, settings, Client())
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.RemoteUserBackend"]
    assert browser.get("/admin/").status_code == 302
    assert browser.session[BACKEND_SESSION_KEY] == REPLACED


@pytest.mark.usefixtures("website")
def test_a_visitor_gets_no_session_and_a_page_that_caches_can_share() -> None:
    response = Client().get("/nothing")
    assert not response.cookies
    assert "cookie" not in response.get("Vary", "").lower()
