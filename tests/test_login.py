"""Signing in: one new session and its first pair, or one refusal that tells nothing."""

import json
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from unittest import mock
from urllib.parse import urlencode
from uuid import UUID

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.test import Client

from authx.models import DeviceSession, EventKind
from authx.passwords import sign_in
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

FORM = "application/x-www-form-urlencoded"
ALICE = {"username": "alice", "password": PASSWORD}
REFUSAL = b'{"error":"invalid_grant","error_description":"The user name or the password is wrong."}'


def log_in(body: Any, path: str = "/users/login", **options: Any) -> "ErrorResponse":
    return Phone().client.post(path, body, **{"content_type": "application/json"} | options)


def test_answer_is_the_pair_of_the_contract_and_nothing_else(clock: Clock, alice: User) -> None:
    response = log_in(ALICE | {"device": {"name": "phone", "platform": "iOS"}})
    pair = response.json()
    assert response.status_code == HTTPStatus.OK
    assert response.headers["Content-Type"] == "application/json"
    assert pair == {
        "access_token": mock.ANY,
        "token_type": "Bearer",
        "expires_in": 900,
        "refresh_token": mock.ANY,
        "refresh_token_expires_in": timedelta(days=30) // timedelta(seconds=1),
        "session_expires_in": timedelta(days=180) // timedelta(seconds=1),
        "generation": 0,
        "device": {"id": str(DeviceSession.objects.get(user=alice).pk), "name": "phone"},
        "device_credential": mock.ANY,
    }
    assert {type(value) for name, value in pair.items() if name.endswith("_in")} == {int}
    assert pair["access_token"].startswith("axa_")
    assert pair["refresh_token"].startswith("axr_")
    assert pair["device_credential"].startswith("axd_")


@pytest.mark.parametrize("path", ["/users/login", "/users/login/"])
def test_a_form_signs_in_as_well_with_or_without_trailing_slash(alice: User, path: str) -> None:
    response = log_in(urlencode(ALICE | {"device.name": "phone"}), path, content_type=FORM)
    assert response.status_code == HTTPStatus.OK
    assert response.json()["device"]["name"] == "phone"
    assert Phone(pair=response.json()).is_signed_in


@pytest.mark.parametrize("password", [PASSWORD, "wrong"])
def test_no_answer_may_be_stored(alice: User, password: str) -> None:
    response = log_in(ALICE | {"password": password})
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["Pragma"] == "no-cache"


def test_each_sign_in_makes_new_tokens(phone: Phone, tablet: Phone) -> None:
    tokens = {phone.access_token, phone.refresh_token, tablet.access_token, tablet.refresh_token}
    assert len(tokens) == 4
    assert phone.session_id != tablet.session_id


def test_same_installation_replaces_its_session(phone: Phone) -> None:
    again = Phone(device=phone.device).sign_in()
    assert phone.call().status_code == HTTPStatus.UNAUTHORIZED
    assert error_of(phone.try_refresh()) == (400, "invalid_grant")
    assert again.refresh().is_signed_in
    assert DeviceSession.objects.get(pk=phone.session_id).revoked_reason == "replaced"


def test_an_installation_replaces_no_session_of_another_user(phone: Phone, bob: User) -> None:
    Phone("bob", phone.device).sign_in()
    assert phone.is_signed_in


def test_without_an_installation_id_two_sign_ins_are_two_sessions(alice: User) -> None:
    first, second = Phone().sign_in(), Phone().sign_in()
    assert first.is_signed_in
    assert second.is_signed_in
    assert DeviceSession.objects.unrevoked().count() == 2


@pytest.mark.parametrize(
    ("change", "is_active"),
    [
        ({"username": "nobody"}, True),
        ({"password": "wrong"}, True),
        ({}, False),
        ({"password": "wrong"}, False),
        ({"password": PASSWORD.upper()}, True),
        ({"password": f" {PASSWORD}"}, True),
        ({"password": f"{PASSWORD} "}, True),
        ({"password": PASSWORD[:-1]}, True),
    ],
)
def test_unknown_wrong_and_inactive_are_one_refusal(
    phone: Phone, change: dict[str, str], *, is_active: bool
) -> None:
    User.objects.update(is_active=is_active)
    response = log_in(ALICE | change)
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert response.content == REFUSAL
    assert "WWW-Authenticate" not in response.headers
    assert DeviceSession.objects.get().pk == UUID(phone.session_id)


def test_a_backend_that_accepts_inactive_users_changes_nothing(settings: Any, alice: User) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.AllowAllUsersModelBackend"]
    User.objects.update(is_active=False)
    assert log_in(ALICE).content == REFUSAL


def test_password_is_verified_exactly_as_sent(alice: User) -> None:
    spaced = "  horse, with blanks about it "
    alice.set_password(spaced)
    alice.save()
    assert log_in(ALICE | {"password": spaced}).status_code == HTTPStatus.OK
    assert log_in(ALICE | {"password": spaced.strip()}).content == REFUSAL


@pytest.mark.parametrize(
    ("change", "fields"),
    [
        ({"password": "x" * 1025}, {"password"}),
        ({"username": "x" * 321}, {"username"}),
        ({"password": None}, {"password"}),
        ({"username": ["alice"]}, {"username"}),
        ({"password": "pass\0word"}, {"password"}),
        ({"device": {"name": "x" * 101}}, {"device.name"}),
        ({"device": {"installation_id": "x" * 129}}, {"device.installation_id"}),
        ({"device": "phone"}, {"device.non_field_errors"}),
    ],
)
def test_oversize_and_malformed_input_is_named_and_never_hashed(
    alice: User, change: dict[str, Any], fields: set[str]
) -> None:
    with mock.patch.object(sign_in, "authenticate") as authenticate:
        response = log_in(ALICE | change)
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == fields
    assert not authenticate.called


@pytest.mark.parametrize("stale", ["Bearer stale", "Basic Y2xpZW50Og==", "Bearer", "\xff"])
def test_an_authorization_header_spoils_nothing(alice: User, stale: str) -> None:
    assert log_in(ALICE, headers={"authorization": stale}).status_code == HTTPStatus.OK


def test_signing_in_is_only_by_post(alice: User) -> None:
    response = Phone().client.get("/users/login", ALICE)
    assert error_of(response) == (405, "method_not_allowed")
    assert not DeviceSession.objects.exists()


def test_credentials_in_the_address_are_not_read(alice: User) -> None:
    response = log_in(b"", f"/users/login?{urlencode(ALICE)}")
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {"username", "password"}
    assert not DeviceSession.objects.exists()


def test_tokens_and_ids_that_the_client_made_up_are_ignored(phone: Phone, alice: User) -> None:
    made_up = {"id": phone.session_id, "session_id": phone.session_id, "family": phone.session_id}
    response = log_in(ALICE | phone.pair | made_up | {"device": made_up})
    pair = response.json()
    assert response.status_code == HTTPStatus.OK
    assert pair["device"]["id"] != phone.session_id
    assert pair["refresh_token"] != phone.refresh_token
    assert pair["access_token"] != phone.access_token


def test_a_device_as_one_field_of_a_form_is_named(alice: User) -> None:
    response = log_in(urlencode(ALICE | {"device": '{"name": "phone"}'}), content_type=FORM)
    assert response.status_code == HTTPStatus.BAD_REQUEST
    assert set(response.json()["fields"]) == {"device.non_field_errors"}


def test_a_repeated_form_field_is_named(alice: User) -> None:
    response = log_in(urlencode(ALICE) + "&username=bob", content_type=FORM)
    assert error_of(response) == (400, "invalid_request")
    assert response.json()["fields"] == {"username": ["This field is repeated."]}


def test_a_repeated_json_member_is_refused(alice: User) -> None:
    twice = json.dumps(ALICE)[:-1] + ', "username": "alice"}'
    assert error_of(log_in(twice)) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("Ali\u202eenohp\u202c", "Alienohp"),
        ("a\r\nb\x00\x1b[31m\x7f", "ab[31m"),
        ("\u2066x\u2069 \u200f\u061c", "x"),
        ("  Grüße 📱 ", "Grüße 📱"),
    ],
)
def test_device_name_is_cleaned_of_what_deceives_a_reader(
    alice: User, name: str, stored: str
) -> None:
    response = log_in(ALICE | {"device": {"name": name}})
    assert response.json()["device"]["name"] == stored
    assert DeviceSession.objects.get().name == stored


def test_a_failing_listener_fails_no_sign_in(alice: User) -> None:
    listener = mock.Mock(side_effect=RuntimeError("not ours"), __qualname__="listener")
    user_logged_in.connect(listener, weak=False)
    try:
        assert Phone().sign_in().is_signed_in
    finally:
        user_logged_in.disconnect(listener)
    assert listener.call_args.kwargs["user"] == alice


def test_the_session_limit_evicts_the_least_recently_used(
    settings: Any, clock: Clock, phone: Phone
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 2}
    clock.forward(minutes=2)
    tablet = Phone(device={"installation_id": "tablet"}).sign_in()
    clock.forward(minutes=2)
    # The older session, and no refresh since: only its access token was used.
    phone.call()
    clock.forward(minutes=2)
    watch = Phone(device={"installation_id": "watch"}).sign_in()
    assert [phone.is_signed_in, tablet.is_signed_in, watch.is_signed_in] == [True, False, True]
    evicted = DeviceSession.objects.get(pk=tablet.session_id)
    assert evicted.revoked_reason == EventKind.EVICTED


def hash_the_old_way(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    """Hash the password as it would be if the preferred hasher had been another till now."""
    monkeypatch.setattr(PBKDF2PasswordHasher, "iterations", 1)
    user.password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    user.is_staff = True
    user.save()
    DeviceSession.objects.filter(user=user).update(auth_hash=user.get_session_auth_hash())


def test_a_hash_upgraded_at_sign_in_ends_no_other_session(
    alice: User, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_the_old_way(alice, monkeypatch)
    assert Phone().sign_in().is_signed_in
    alice.refresh_from_db()
    assert alice.password.startswith("md5$")
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


def test_a_hash_upgraded_in_the_admin_ends_no_session(
    alice: User, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_the_old_way(alice, monkeypatch)
    response = Client().post("/admin/login/?next=/admin/", ALICE)
    alice.refresh_from_db()
    assert response.status_code == HTTPStatus.FOUND
    assert alice.password.startswith("md5$")
    assert phone.refresh().is_signed_in


def test_an_upgraded_hash_revives_no_session_of_an_older_password(
    alice: User, phone: Phone, monkeypatch: pytest.MonkeyPatch
) -> None:
    hash_the_old_way(alice, monkeypatch)
    DeviceSession.objects.filter(pk=phone.session_id).update(auth_hash="of an older password")
    Phone().sign_in()
    assert not phone.is_signed_in


def test_a_password_set_elsewhere_ends_every_session(alice: User, phone: Phone) -> None:
    alice.set_password("another horse entirely")
    alice.save()
    assert not phone.is_signed_in
    assert error_of(phone.try_refresh()) == (400, "invalid_grant")
