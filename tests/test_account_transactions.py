"""With ATOMIC_REQUESTS, the pages decide in transactions of their own, as the endpoints do."""

from collections.abc import Iterator
from http import HTTPStatus

import pytest
from django.contrib.auth.models import User
from django.db import connection, connections
from django.test import Client

from authx.audit.links import new_recovery_token, not_me_token
from authx.contrib.account.urls import urlpatterns
from authx.models import DeviceSession, EventKind, PasswordFailures, SecurityEvent
from authx.passwords import check
from tests.account import BASE, NEW_PASSWORD, browser, sign_in, signed_in, with_address
from tests.guessing import WRONG
from tests.phone import PASSWORD

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(autouse=True)
def _atomic_requests() -> Iterator[None]:
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    yield
    connection.settings_dict["ATOMIC_REQUESTS"] = False


@pytest.fixture
def alice(alice: User) -> User:
    return with_address(alice)


@pytest.mark.parametrize("route", urlpatterns, ids=lambda route: str(route.name))
def test_no_page_is_one_transaction(route: object) -> None:
    assert vars(route)["callback"]._non_atomic_requests == set(connections)


@pytest.mark.parametrize("path", ["sign-in/", "password/"])
def test_an_attempt_counts_although_the_page_fails(
    alice: User, monkeypatch: pytest.MonkeyPatch, path: str
) -> None:
    client = signed_in()
    client.raise_request_exception = False
    monkeypatch.setattr(check, "_verify", lambda *_: 1 / 0)
    form = {"username": "alice", "password": WRONG}
    form |= {"current_password": WRONG, "new_password": NEW_PASSWORD}
    assert client.post(BASE + path, form).status_code == HTTPStatus.INTERNAL_SERVER_ERROR
    assert PasswordFailures.objects.get().count == 1


def test_a_wrong_password_is_recorded_and_a_page_of_each_kind_works(alice: User) -> None:
    assert sign_in(browser(), password=WRONG).status_code == HTTPStatus.BAD_REQUEST
    assert SecurityEvent.objects.get().kind == EventKind.SIGN_IN_FAILED
    here, there = signed_in(), signed_in()
    session = DeviceSession.objects.latest("created_at")
    for path in ("", "activity/", "password/", "recover/"):
        assert here.get(BASE + path).status_code == HTTPStatus.OK
    assert done(here, f"devices/{session.pk}/rename/", name="Library")
    assert done(here, f"devices/{session.pk}/end/")
    assert there.get(BASE).status_code == HTTPStatus.FOUND
    assert done(here, "devices/end-others/")
    passwords = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert done(here, "password/", **passwords)
    assert here.get(BASE).status_code == HTTPStatus.OK
    alice.refresh_from_db()
    assert done(browser(), "recover/password/", **new_password(alice))
    token = not_me_token(SecurityEvent.objects.filter(kind=EventKind.SIGNED_IN)[0])
    assert browser().post(f"{BASE}not-me/", {"token": token}).status_code == HTTPStatus.OK
    assert browser().post(f"{BASE}recover/", {"username": "alice"}).status_code == HTTPStatus.OK
    last = browser()
    sign_in(last, password="a third horse, a third battery")
    assert done(last, "devices/end-all/")
    assert not DeviceSession.objects.filter(revoked_at=None).exists()


def new_password(user: User) -> dict[str, str]:
    return {"token": new_recovery_token(user), "new_password": "a third horse, a third battery"}


def done(client: Client, path: str, **form: str) -> bool:
    """Send a form, and return whether the next page follows."""
    return client.post(BASE + path, form).status_code == HTTPStatus.FOUND
