"""Other apps hear of sign-ins and sign-outs in Django's own words, exactly once each."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in, user_logged_out, user_login_failed
from django.dispatch import Signal

from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db

Heard = dict[Signal, mock.Mock]


@pytest.fixture
def heard() -> Iterator[Heard]:
    """Listen to Django's three."""
    listeners = {}
    for signal in (user_logged_in, user_logged_out, user_login_failed):
        listeners[signal] = mock.Mock(__qualname__="listener")
        signal.connect(listeners[signal], weak=False)
    yield listeners
    for signal, listener in listeners.items():
        signal.disconnect(listener)


def counts(heard: Heard) -> list[int]:
    return [listener.call_count for listener in heard.values()]


def test_a_sign_in_is_heard_once(alice: User, heard: Heard) -> None:
    Phone().sign_in()
    assert counts(heard) == [1, 0, 0]
    assert heard[user_logged_in].call_args.kwargs["user"] == alice
    assert heard[user_logged_in].call_args.kwargs["request"].path == "/users/login"


SIGN_OUTS: dict[str, Callable[[Phone], Any]] = {
    "logout": lambda phone: phone.send("POST", "logout"),
    "logout-all": lambda phone: phone.send("POST", "logout-all", {}),
    "its own device": lambda phone: phone.send("DELETE", f"devices/{phone.session_id}"),
    "revoke": lambda phone: Phone().send("POST", "revoke", {"token": phone.refresh_token}),
}


@pytest.mark.parametrize("way", SIGN_OUTS)
def test_a_sign_out_is_heard_once_whichever_way(
    way: str, alice: User, phone: Phone, tablet: Phone, heard: Heard
) -> None:
    SIGN_OUTS[way](phone)
    SIGN_OUTS[way](phone)
    assert counts(heard) == [0, 1, 0]
    assert heard[user_logged_out].call_args.kwargs["user"] == alice


OTHERS: dict[str, Callable[[Phone, Phone], Any]] = {
    "the others": lambda phone, _: phone.send("POST", "logout-all", {"keep_current": True}),
    "another": lambda phone, other: phone.send("DELETE", f"devices/{other.session_id}"),
    "nothing": lambda phone, _: phone.send("POST", "revoke", {"token": "axr_forged"}),
    "refresh": lambda phone, _: phone.refresh(),
}


@pytest.mark.parametrize("way", OTHERS)
def test_who_stays_signed_in_was_not_signed_out(
    way: str, phone: Phone, tablet: Phone, heard: Heard
) -> None:
    OTHERS[way](phone, tablet)
    assert phone.is_signed_in
    assert counts(heard) == [0, 0, 0]


def test_a_session_that_a_rival_revoked_first_sends_one_signal(phone: Phone, heard: Heard) -> None:
    with mock.patch("authx.rest.views.account.revoke_session", return_value=False):
        assert phone.send("POST", "logout").status_code == HTTPStatus.NO_CONTENT
    assert counts(heard) == [0, 0, 0]


@pytest.mark.parametrize(
    ("backend", "name", "password"),
    [
        ("authx.passwords.backends.ModelBackend", "alice", "wrong password"),
        ("authx.passwords.backends.ModelBackend", "nobody", PASSWORD),
        # Its check succeeds, and the refusal is ours.
        ("django.contrib.auth.backends.AllowAllUsersModelBackend", "inactive", PASSWORD),
    ],
)
def test_a_failed_sign_in_sends_one_signal_without_the_password(  # noqa: PLR0913, PLR0917 -- a table
    alice: User, heard: Heard, settings: Any, backend: str, name: str, password: str
) -> None:
    settings.AUTHENTICATION_BACKENDS = [backend]
    User.objects.create_user("inactive", password=PASSWORD, is_active=False)
    Phone(name).try_sign_in(password)
    assert counts(heard) == [0, 0, 1]
    told = heard[user_login_failed].call_args.kwargs
    assert told["credentials"]["username"] == name
    assert password not in str(told)
    assert told["request"].path == "/users/login"
