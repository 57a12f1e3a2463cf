"""The pages of the way back in do what the endpoints do, and tell as little."""

import re
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.test import Client

from authx.audit.links import new_recovery_token
from authx.models import DeviceSession, SecurityEvent
from tests.account import (
    BASE,
    NEW_PASSWORD,
    browser,
    link_in,
    mails,
    sign_in,
    text_of,
    token_in,
    with_address,
)
from tests.conftest import Clock
from tests.phone import Phone

pytestmark = pytest.mark.django_db

# What differs between any two answers.
RANDOM = re.compile(r'(nonce|value)="[^"]{20,}"')


def second_factor(*_: Any) -> None:
    raise PermissionDenied("Use your second factor.")


@pytest.fixture
def alice(alice: User) -> User:
    return with_address(alice)


def ask(name: str, **options: Any) -> Any:
    return browser().post(f"{BASE}recover/", {"username": name}, **options)


def set_password(client: Client, raw_token: str, password: str = NEW_PASSWORD) -> Any:
    form = {"token": raw_token, "new_password": password}
    return client.post(f"{BASE}recover/password/", form, follow=True)


def test_a_mailed_link_sets_a_password_and_signs_this_browser_in(alice: User, phone: Phone) -> None:
    assert "we have sent a link" in text_of(ask("alice"))
    link = link_in(mails()[0])
    client = browser()
    assert "Set a new password" in text_of(client.get(link))
    assert phone.is_signed_in
    page = set_password(client, token_in(link))
    assert "every session has ended, on all devices" in text_of(page)
    assert not phone.is_signed_in
    assert client.get(BASE).status_code == HTTPStatus.OK
    assert DeviceSession.objects.get(revoked_at=None).platform == "browser"
    assert "does not work any more" in text_of(client.get(link))


def test_the_backend_that_knows_the_user_signs_in_here(alice: User, settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [
        "tests.backends.GateBackend",
        "django.contrib.auth.backends.RemoteUserBackend",
        "tests.backends.EmailBackend",
    ]
    client = browser()
    page = set_password(client, new_recovery_token(alice))
    assert "every session has ended, on all devices" in text_of(page)
    assert client.session["_auth_user_backend"] == "tests.backends.EmailBackend"
    assert client.get(BASE).status_code == HTTPStatus.OK


def test_a_project_whose_backends_sign_nobody_in_by_cookie_asks_to_sign_in(
    alice: User, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["tests.backends.GateBackend"]
    page = set_password(browser(), new_recovery_token(alice))
    assert "Sign in with it." in text_of(page)


def test_a_browser_that_a_link_has_signed_in_is_a_known_one(alice: User) -> None:
    client = browser()
    set_password(client, new_recovery_token(alice))
    client.post(f"{BASE}sign-out/")
    guesses = [sign_in(browser(), password="a guess").status_code for _ in range(6)]
    assert guesses[-1] == HTTPStatus.TOO_MANY_REQUESTS
    assert sign_in(client, password=NEW_PASSWORD).status_code == HTTPStatus.FOUND


def test_a_weak_password_is_refused_and_the_link_stays(alice: User) -> None:
    raw_token = new_recovery_token(alice)
    refused = set_password(browser(), raw_token, "short")
    assert refused.status_code == HTTPStatus.BAD_REQUEST
    assert "too short" in text_of(refused)
    assert set_password(browser(), raw_token, "").status_code == HTTPStatus.BAD_REQUEST
    assert "every session has ended" in text_of(set_password(browser(), raw_token))


def test_a_link_that_is_over_leads_to_a_new_one(clock: Clock, alice: User) -> None:
    raw_token = new_recovery_token(alice)
    clock.forward(minutes=31)
    for page in (
        browser().get(f"{BASE}recover/password/?token={raw_token}"),
        set_password(browser(), raw_token),
    ):
        assert page.status_code == HTTPStatus.BAD_REQUEST
        assert "Send a new link" in text_of(page)


def test_what_a_project_asks_for_at_a_sign_in_it_asks_for_here(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_POLICY": f"{__name__}.second_factor"}
    page = set_password(browser(), new_recovery_token(alice))
    assert "Sign in with it." in text_of(page)
    assert not DeviceSession.objects.exists()
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_POLICY": None}
    assert sign_in(browser(), password=NEW_PASSWORD).status_code == HTTPStatus.FOUND


def test_the_page_of_a_link_without_its_token_asks_for_a_new_one(alice: User) -> None:
    asked = browser().get(f"{BASE}recover/password/")
    assert asked.headers["Location"] == f"{BASE}recover/"


def test_a_name_that_is_missing_is_asked_for(alice: User) -> None:
    page = ask("")
    assert page.status_code == HTTPStatus.BAD_REQUEST
    assert not SecurityEvent.objects.exists()


def test_forged_links_are_limited_per_network(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"FORGED_TOKEN_RATES": ["2/minute"]}
    pages = [browser().get(f"{BASE}recover/password/?token=MQ.x-y") for _ in range(3)]
    assert [page.status_code for page in pages] == [400, 400, 429]


def test_every_name_gets_the_same_page_after_the_same_statements(
    alice: User, bob: User, statements: Any
) -> None:
    User.objects.filter(username="bob").update(is_active=False)
    found = set()
    for number, name in enumerate(["alice", "alice@example.com", "bob", "nobody", "n@example.com"]):
        with statements() as cost:
            page = ask(name, REMOTE_ADDR=f"192.0.2.{number}")
        policy, request_id = "Content-Security-Policy", "X-Request-ID"
        headers = {k: v for k, v in page.headers.items() if k not in {policy, request_id}}
        body = RANDOM.sub("", page.content.decode())
        sql = [one.split(" ")[0] for one in cost.sql]
        found.add((page.status_code, body, str(headers), str(sorted(page.cookies)), str(sql)))
    assert len(found) == 1


def test_a_network_that_asks_too_often_is_told_in_words(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES_PER_IP": ["1/minute"]}
    assert ask("nobody").status_code == HTTPStatus.OK
    refused = ask("nobody")
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert "Try again in 1 minute." in text_of(refused)
