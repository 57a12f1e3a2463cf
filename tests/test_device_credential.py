"""The credential that proves a known device: who gets one, what it is worth, and what ends it."""

import json
from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from authx.api import Device, open_session, pair_body
from authx.codec import token_codec
from authx.devices import find_known_device
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.sessions.revoke import revoke_all, revoke_session
from authx.sessions.sweep import sweep
from authx.tokens import TokenKind
from tests.conftest import Clock, Statements
from tests.guessing import altered
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "a wholly different pass phrase"


def is_known(phone: Phone) -> bool:
    user = User.objects.get(username=phone.username)
    return find_known_device(user, phone.credential) is not None


def device_id_of(credential: str) -> Any:
    return token_codec().parse(credential, TokenKind.DEVICE).session_id


def change_password(phone: Phone) -> Phone:
    """Change the password as the app does, and store what it brings."""
    passwords = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    response = phone.send("POST", "password", passwords)
    assert response.status_code == 200, response.content
    phone.pair = response.json()
    phone.credential = phone.pair.pop("device_credential")
    return phone


def test_a_device_keeps_its_id_while_it_is_known(phone: Phone) -> None:
    first = phone.credential
    phone.sign_in()
    assert device_id_of(phone.credential) == device_id_of(first)
    stranger = Phone().sign_in()
    assert device_id_of(stranger.credential) != device_id_of(first)


def test_a_refresh_brings_no_credential(phone: Phone) -> None:
    # Otherwise the copy of a refresh token would make a known device.
    assert "device_credential" not in phone.try_refresh().json()


def test_a_session_that_a_project_opens_brings_one_and_takes_one(alice: User) -> None:
    first = pair_body(open_session(user=alice))["device_credential"]
    again = pair_body(open_session(user=alice, device=Device(credential=first)))
    assert device_id_of(again["device_credential"]) == device_id_of(first)
    assert not SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).exists()


def test_no_response_names_the_device_that_a_credential_proves(phone: Phone) -> None:
    device_id = str(DeviceSession.objects.get().device_id)
    assert device_id == str(device_id_of(phone.credential))
    for path in ("me", "devices", f"devices/{phone.session_id}", "activity"):
        body = phone.send("GET", path).content.decode()
        assert device_id not in body
        assert "installation_id" not in body


@pytest.mark.parametrize(
    "shown",
    [
        lambda _: "",
        lambda _: "guessed",
        altered,
        lambda credential: credential.replace("axd_", "axr_"),
    ],
    ids=["none", "guessed", "forged", "another kind"],
)
def test_what_is_no_credential_costs_no_query_and_is_no_error(
    phone: Phone, alice: User, statements: Callable[[], Statements], shown: Callable[[str], str]
) -> None:
    stranger = Phone(credential=shown(phone.credential))
    with statements() as cost:
        assert find_known_device(alice, stranger.credential) is None
    assert len(cost) == 0
    assert stranger.sign_in().is_signed_in


def test_a_credential_of_another_account_costs_no_query(
    phone: Phone, bob: User, statements: Callable[[], Statements]
) -> None:
    with statements() as cost:
        assert find_known_device(bob, phone.credential) is None
    assert len(cost) == 0


def test_a_credential_of_this_account_costs_one_query(
    phone: Phone, alice: User, statements: Callable[[], Statements]
) -> None:
    with statements() as cost:
        assert find_known_device(alice, phone.credential) is not None
    assert len(cost) == 1


def test_nothing_else_that_the_device_holds_is_one(phone: Phone, alice: User) -> None:
    for token in (phone.access_token, phone.refresh_token):
        assert find_known_device(alice, token) is None


def test_a_copied_database_makes_no_credential(phone: Phone, alice: User) -> None:
    session = DeviceSession.objects.get()
    copied = token_codec().mint_device(session.device_id, user="1000", password=session.auth_hash)
    assert find_known_device(alice, copied) is None
    for stored in (str(session.device_id), session.auth_hash, session.digest):
        assert find_known_device(alice, stored) is None


def test_credentials_survive_a_rotation_of_the_key(phone: Phone, settings: Any) -> None:
    old = settings.SECRET_KEY
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = "a new key" * 9, [old]
    assert is_known(phone)
    DeviceSession.objects.all().delete()
    assert is_known(phone)
    settings.SECRET_KEY_FALLBACKS = []
    assert not is_known(phone)


@pytest.mark.parametrize("swept", [False, True])
def test_a_sign_out_of_its_own_leaves_a_device_known(
    clock: Clock, phone: Phone, *, swept: bool
) -> None:
    phone.send("POST", "logout")
    if swept:
        clock.forward(days=40)
        sweep()
        assert not DeviceSession.objects.exists()
    assert is_known(phone)


@pytest.mark.parametrize("set_it", [True, False])
def test_a_new_password_in_whatever_way_ends_the_credentials(
    phone: Phone, tablet: Phone, alice: User, *, set_it: bool
) -> None:
    tablet.send("POST", "logout")
    if set_it:
        alice.set_password(NEW_PASSWORD)
        alice.save()
    else:
        User.objects.update(password=make_password(NEW_PASSWORD))
    assert not is_known(phone)
    assert not is_known(tablet)


def test_the_device_that_changes_the_password_stays_known_and_no_other(
    phone: Phone, tablet: Phone
) -> None:
    old = phone.credential
    change_password(phone)
    assert is_known(phone)
    phone.send("POST", "logout")
    assert is_known(phone)
    assert not is_known(tablet)
    assert not is_known(Phone(credential=old))


def test_an_upgrade_of_the_hash_leaves_a_device_with_a_session_known(
    phone: Phone, tablet: Phone, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = [
        "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        *settings.PASSWORD_HASHERS,
    ]
    before = User.objects.get().password
    phone.sign_in()
    assert User.objects.get().password != before
    assert is_known(phone)
    assert is_known(tablet)
    assert not SecurityEvent.objects.filter(
        kind=EventKind.NEW_DEVICE, session_id=phone.session_id
    ).exists()


def end_in_the_list(ended: Phone, by: Phone) -> None:
    by.send("DELETE", f"devices/{ended.session_id}")


def end_elsewhere(ended: Phone, by: Phone) -> None:
    by.send("POST", "logout-all", {"keep_current": True})


def end_by_an_operator(ended: Phone, by: Phone) -> None:
    session = DeviceSession.objects.get(pk=ended.session_id)
    revoke_session(session=session, reason=EventKind.ENDED_BY_OPERATOR)


def use_a_copy(ended: Phone, by: Phone) -> None:
    copied = ended.refresh_token
    ended.refresh().call()
    ended.refresh().call()
    DeviceSession.objects.update(recent=b"")
    assert ended.try_refresh(copied).status_code == 400


@pytest.mark.parametrize("end", [end_in_the_list, end_elsewhere, end_by_an_operator, use_a_copy])
@pytest.mark.parametrize("swept", [False, True])
def test_a_device_that_was_ended_for_it_is_new_again(
    clock: Clock, phone: Phone, tablet: Phone, end: Callable[[Phone, Phone], None], *, swept: bool
) -> None:
    end(tablet, phone)
    if swept:
        clock.forward(days=20)
        phone.refresh()
        clock.forward(days=20)
        sweep()
        assert DeviceSession.objects.count() == 1
    assert not is_known(tablet)
    assert is_known(phone)
    before = SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).count()
    tablet.sign_in()
    assert SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).count() == before + 1
    assert is_known(tablet)


@pytest.mark.parametrize("reason", [EventKind.ENDED_BY_OPERATOR, EventKind.DEACTIVATED])
def test_ending_all_sessions_of_a_user_ends_all_credentials(
    phone: Phone, tablet: Phone, bob: User, reason: EventKind
) -> None:
    of_bob = Phone("bob").sign_in()
    revoke_all(user_id=User.objects.get(username="alice").pk, reason=reason)
    assert [is_known(one) for one in (phone, tablet, of_bob)] == [False, False, True]


def test_a_credential_of_a_deleted_user_is_worth_nothing(phone: Phone, alice: User) -> None:
    gone = User.objects.get()
    alice.delete()
    assert find_known_device(gone, phone.credential) is None


def test_no_credential_is_ever_shown(phone: Phone, alice: User) -> None:
    pair = open_session(user=alice, device=Device(credential=phone.credential))
    shown = repr(pair) + repr(Device(credential=phone.credential))
    assert "axd_" not in shown
    assert "axd_" in json.dumps(pair_body(pair))
