"""What somebody signed in may do with the account: look, sign out, change the password."""

from collections.abc import Callable, Iterator
from http import HTTPStatus
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_out
from django.dispatch import Signal

from authx.models import DeviceSession
from authx.sessions.values import EndedSession
from authx.signals import session_opened, sessions_revoked, token_reused
from tests.phone import PASSWORD, Phone, error_of

NEW_PASSWORD = "  another horse entirely, honest "
CHANGE = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}


def is_ended(phone: Phone) -> bool:
    """Say whether neither token of a phone is good for anything."""
    called, refreshed = error_of(phone.call()), error_of(phone.try_refresh())
    return (called, refreshed) == ((401, "invalid_token"), (400, "invalid_grant"))


def reasons() -> list[str]:
    return list(DeviceSession.objects.order_by("name").values_list("revoked_reason", flat=True))


def test_me_says_who_and_on_which_device(phone: Phone, tablet: Phone, alice: User) -> None:
    response = phone.call()
    body = response.json()
    assert response.status_code == HTTPStatus.OK
    assert response.headers["Cache-Control"] == "no-store"
    assert set(body) == {"id", "username", "auth_time", "device"}
    assert (body["id"], body["username"]) == (str(alice.pk), "alice")
    assert body["device"] == {
        **phone.pair["device"],
        "platform": "",
        "app_version": "",
        "created_at": mock.ANY,
        "last_used_at": mock.ANY,
        "last_ip": "127.0.0.1",
        "current": True,
        "data": {},
    }


def test_logout_ends_this_device_and_no_other(phone: Phone, tablet: Phone) -> None:
    response = phone.send("POST", "logout")
    assert response.status_code == HTTPStatus.NO_CONTENT
    assert response.content == b""
    assert is_ended(phone)
    assert tablet.refresh().is_signed_in
    assert reasons() == ["signed_out", ""]


@pytest.mark.parametrize("path", ["logout", "logout-all", "password"])
def test_nothing_is_ended_by_get_or_without_a_token(phone: Phone, path: str) -> None:
    assert error_of(phone.send("GET", path)) == (405, "method_not_allowed")
    assert error_of(Phone().send("POST", path, CHANGE)) == (401, "unauthorized")
    assert phone.is_signed_in


def test_logging_out_twice_is_refused_the_second_time(phone: Phone) -> None:
    phone.send("POST", "logout")
    assert error_of(phone.send("POST", "logout")) == (401, "invalid_token")


@pytest.mark.parametrize("body", [None, {}, {"keep_current": False}])
def test_logout_all_ends_every_device_of_the_user(
    phone: Phone, tablet: Phone, bob: User, body: Any
) -> None:
    of_bob = Phone("bob").sign_in()
    response = phone.send("POST", "logout-all", body)
    assert (response.status_code, response.json()) == (200, {"revoked": 2})
    assert is_ended(phone)
    assert is_ended(tablet)
    assert of_bob.is_signed_in


def test_logout_all_may_keep_the_current_device(phone: Phone, tablet: Phone) -> None:
    response = phone.send("POST", "logout-all", {"keep_current": True})
    assert (response.status_code, response.json()) == (200, {"revoked": 1})
    assert is_ended(tablet)
    assert phone.refresh().is_signed_in
    assert reasons() == ["", "signed_out_everywhere"]


@pytest.mark.parametrize("value", [None, "perhaps", 2, []])
def test_logout_all_with_an_unclear_wish_ends_nothing(phone: Phone, value: Any) -> None:
    response = phone.send("POST", "logout-all", {"keep_current": value})
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {"keep_current"}
    assert phone.is_signed_in


def test_a_password_change_ends_every_session_and_opens_one_here(
    phone: Phone, tablet: Phone
) -> None:
    response = phone.send("POST", "password", CHANGE)
    renewed = Phone(pair=response.json())
    assert response.status_code == HTTPStatus.OK
    assert set(renewed.pair) == {*phone.pair, "device_credential"}
    assert renewed.call().json()["device"]["name"] == "phone"
    assert is_ended(phone)
    assert is_ended(tablet)
    assert renewed.refresh().is_signed_in
    assert sorted(reasons()) == ["", "password_changed", "password_changed"]


def test_a_changed_password_is_the_only_one_from_then_on_blanks_included(phone: Phone) -> None:
    phone.send("POST", "password", CHANGE)
    assert error_of(phone.try_sign_in(PASSWORD)) == (400, "invalid_grant")
    assert error_of(phone.try_sign_in(NEW_PASSWORD.strip())) == (400, "invalid_grant")
    assert phone.sign_in(NEW_PASSWORD).is_signed_in


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"current_password": "wrong"}, "current_password"),
        ({"current_password": f"{PASSWORD} "}, "current_password"),
        ({"current_password": ""}, "current_password"),
        ({"current_password": "x" * 1025}, "current_password"),
        ({"new_password": "short"}, "new_password"),
        ({"new_password": "alice"}, "new_password"),
        ({"new_password": None}, "new_password"),
        ({"new_password": "x" * 1025}, "new_password"),
        ({"current_password": "wrong", "new_password": "short"}, "current_password"),
    ],
)
def test_a_refused_change_says_why_and_changes_nothing(
    phone: Phone, tablet: Phone, change: dict[str, Any], field: str
) -> None:
    response = phone.send("POST", "password", CHANGE | change)
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {field}
    assert phone.refresh().is_signed_in
    assert tablet.refresh().is_signed_in
    assert Phone().sign_in(PASSWORD).is_signed_in


@pytest.fixture
def heard() -> Iterator[dict[Signal, mock.Mock]]:
    """Listen to every signal; each listener raises, which must fail nothing."""
    signals = (session_opened, sessions_revoked, token_reused, user_logged_out)
    listeners = {
        signal: mock.Mock(side_effect=RuntimeError("not ours"), __qualname__="listener")
        for signal in signals
    }
    for signal, listener in listeners.items():
        signal.connect(listener, weak=False)
    yield listeners
    for signal, listener in listeners.items():
        signal.disconnect(listener)


Committing = Callable[..., Any]


@pytest.fixture
def committing(django_capture_on_commit_callbacks: Committing) -> Committing:
    """Return a context that, when it ends, does what a commit sets off."""
    return lambda: django_capture_on_commit_callbacks(execute=True)


def test_a_sign_in_sends_its_signal_once_after_commit(
    alice: User, heard: dict[Signal, mock.Mock], committing: Committing
) -> None:
    with committing():
        phone = Phone().sign_in()
        assert not heard[session_opened].called
    heard[session_opened].assert_called_once()
    told = heard[session_opened].call_args.kwargs
    assert told["session"].pk == UUID(phone.session_id)
    assert phone.is_signed_in


def test_a_logout_sends_its_signal_once_after_commit_and_a_failing_receiver_fails_nothing(
    phone: Phone, alice: User, heard: dict[Signal, mock.Mock], committing: Committing
) -> None:
    with committing():
        assert phone.send("POST", "logout").status_code == HTTPStatus.NO_CONTENT
        assert not heard[sessions_revoked].called
    heard[sessions_revoked].assert_called_once_with(
        signal=sessions_revoked,
        sender=DeviceSession,
        user_id=alice.pk,
        session_ids=[UUID(phone.session_id)],
        sessions=[EndedSession(UUID(phone.session_id), alice.pk, {})],
        reason="signed_out",
        count=1,
        everywhere=False,
    )
    assert is_ended(phone)


def test_a_logout_everywhere_sends_its_signal_once(
    phone: Phone, tablet: Phone, heard: dict[Signal, mock.Mock], committing: Committing
) -> None:
    with committing():
        assert phone.send("POST", "logout-all").status_code == HTTPStatus.OK
    heard[sessions_revoked].assert_called_once()
    told = heard[sessions_revoked].call_args.kwargs
    ended = {UUID(phone.session_id), UUID(tablet.session_id)}
    assert (set(told["session_ids"]), told["count"]) == (ended, 2)
    assert (told["reason"], told["everywhere"]) == ("signed_out_everywhere", True)


@pytest.mark.usefixtures("no_grace_period")
def test_a_reuse_sends_its_signal_once_after_commit(
    phone: Phone, heard: dict[Signal, mock.Mock], committing: Committing
) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    with committing():
        assert error_of(phone.try_refresh(stolen)) == (400, "invalid_grant")
        assert error_of(phone.try_refresh(stolen)) == (400, "invalid_grant")
        assert not heard[token_reused].called
    heard[token_reused].assert_called_once()
    heard[sessions_revoked].assert_called_once()
    assert heard[token_reused].call_args.kwargs["generation"] == 0
    assert heard[sessions_revoked].call_args.kwargs["reason"] == "reuse_detected"


def test_a_replaced_session_sends_its_signal(
    phone: Phone, heard: dict[Signal, mock.Mock], committing: Committing
) -> None:
    with committing():
        Phone(device=phone.device).sign_in()
    heard[sessions_revoked].assert_called_once()
    told = heard[sessions_revoked].call_args.kwargs
    assert (told["session_ids"], told["reason"]) == ([UUID(phone.session_id)], "replaced")


@pytest.mark.parametrize("path", ["logout", "logout-all"])
def test_signing_out_sends_the_signal_of_django(
    phone: Phone, alice: User, heard: dict[Signal, mock.Mock], path: str
) -> None:
    phone.send("POST", path)
    heard[user_logged_out].assert_called_once()
    told = heard[user_logged_out].call_args.kwargs
    assert (told["sender"], told["user"]) == (User, alice)


def test_logout_all_that_ends_nothing_sends_no_signal(
    phone: Phone, heard: dict[Signal, mock.Mock], committing: Committing
) -> None:
    with committing():
        response = phone.send("POST", "logout-all", {"keep_current": True})
    assert response.json() == {"revoked": 0}
    assert not heard[sessions_revoked].called
    assert not heard[user_logged_out].called
