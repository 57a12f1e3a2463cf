"""SECRET_KEY rotated, the old one in SECRET_KEY_FALLBACKS: nobody is signed out."""

from collections.abc import Callable
from http import HTTPStatus

import pytest
from django.contrib.auth.models import User
from pytest_django import Settings

from authx.codec import token_codec
from authx.errors import ForgedTokenError
from authx.models import DeviceSession
from authx.tokens import TokenKind
from tests.conftest import Clock, Statements
from tests.phone import Phone, error_of

FIRST, SECOND, THIRD = ("key number one " * 4, "key number two " * 4, "key number three " * 4)

INVALID_GRANT = (HTTPStatus.BAD_REQUEST, "invalid_grant")
INVALID_TOKEN = (HTTPStatus.UNAUTHORIZED, "invalid_token")

UseKeys = Callable[..., None]


@pytest.fixture(autouse=True)
def use_keys(settings: Settings) -> UseKeys:
    """Return what sets the keys, the one in use first; the first one is in use from the start."""

    def use(secret_key: str, *fallbacks: str) -> None:
        settings.SECRET_KEY = secret_key
        settings.SECRET_KEY_FALLBACKS = list(fallbacks)

    use(FIRST)
    return use


@pytest.fixture
def phone(use_keys: UseKeys, alice: User) -> Phone:
    """Alice's phone, signed in under the first key."""
    return Phone(alice.username, {"name": "phone", "installation_id": "phone"}).sign_in()


def assert_under(settings: Settings, key: str, *raw_tokens: str) -> None:
    """Accept one key only, for a moment, and see that these tokens are minted under it."""
    before = settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, []
    for raw_token in raw_tokens:
        token_codec().parse(
            raw_token, TokenKind.REFRESH if "axr_" in raw_token else TokenKind.ACCESS
        )
    settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = before


def test_an_access_token_outlives_a_rotation_of_the_key(phone: Phone, use_keys: UseKeys) -> None:
    use_keys(SECOND, FIRST)
    assert phone.is_signed_in


def test_an_access_token_renews_and_confirms_across_it(
    clock: Clock, phone: Phone, use_keys: UseKeys
) -> None:
    phone.refresh()
    clock.forward(minutes=10)
    use_keys(SECOND, FIRST)
    assert phone.is_signed_in
    assert DeviceSession.objects.get().confirmed_at is not None
    clock.forward(minutes=10)
    assert phone.is_signed_in


def test_a_refresh_token_outlives_it_and_the_next_pair_is_under_the_new_key(
    phone: Phone, use_keys: UseKeys, settings: Settings
) -> None:
    assert_under(settings, FIRST, phone.access_token, phone.refresh_token)
    use_keys(SECOND, FIRST)
    phone.refresh()
    assert_under(settings, SECOND, phone.access_token, phone.refresh_token)
    assert phone.is_signed_in


def test_after_one_refresh_the_old_key_can_be_dropped(phone: Phone, use_keys: UseKeys) -> None:
    use_keys(SECOND, FIRST)
    phone.refresh()
    use_keys(SECOND)
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


def test_it_takes_one_refresh_for_each_rotation_of_the_key(phone: Phone, use_keys: UseKeys) -> None:
    use_keys(SECOND, FIRST)
    phone.refresh()
    use_keys(THIRD, SECOND)
    assert phone.is_signed_in
    phone.refresh()
    use_keys(THIRD)
    assert phone.refresh().is_signed_in


def test_a_phone_that_was_away_for_two_rotations_of_the_key_still_refreshes(
    phone: Phone, use_keys: UseKeys
) -> None:
    use_keys(THIRD, SECOND, FIRST)
    phone.refresh()
    use_keys(THIRD)
    assert phone.is_signed_in


def test_a_lost_answer_comes_again_the_same_across_it(phone: Phone, use_keys: UseKeys) -> None:
    lost = phone.try_refresh().json()
    use_keys(SECOND, FIRST)
    again = phone.try_refresh()
    assert again.status_code == HTTPStatus.OK
    assert again.json()["refresh_token"] == lost["refresh_token"]
    assert again.json()["access_token"] == lost["access_token"]
    phone.pair = again.json()
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


def test_a_lost_answer_under_the_new_key_comes_again_the_same(
    phone: Phone, use_keys: UseKeys
) -> None:
    use_keys(SECOND, FIRST)
    lost = phone.try_refresh().json()
    again = phone.try_refresh().json()
    assert again["refresh_token"] == lost["refresh_token"]
    assert again["access_token"] == lost["access_token"]


def test_an_access_token_issued_afresh_is_under_the_new_key_and_its_successor_under_the_old(
    clock: Clock, phone: Phone, use_keys: UseKeys, settings: Settings
) -> None:
    lost = phone.try_refresh().json()
    clock.forward(hours=2)
    use_keys(SECOND, FIRST)
    again = phone.try_refresh().json()
    assert again["refresh_token"] == lost["refresh_token"]
    assert again["access_token"] != lost["access_token"]
    assert_under(settings, FIRST, again["refresh_token"])
    assert_under(settings, SECOND, again["access_token"])
    # Each half of the pair is found again under its own key.
    once_more = phone.try_refresh().json()
    assert once_more["refresh_token"] == lost["refresh_token"]
    assert once_more["access_token"] == again["access_token"]
    phone.pair = once_more
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


@pytest.mark.parametrize("refreshes", [1, 2], ids=["confirmed predecessor", "older one"])
def test_reuse_is_still_caught_across_it(
    refreshes: int, clock: Clock, phone: Phone, use_keys: UseKeys
) -> None:
    stolen = phone.refresh_token
    for _ in range(refreshes):
        phone.refresh()
    assert phone.is_signed_in
    clock.forward(seconds=10)
    use_keys(SECOND, FIRST)
    assert error_of(phone.try_refresh(stolen)) == INVALID_GRANT
    assert DeviceSession.objects.get().revoked_reason == "reuse_detected"
    assert not phone.is_signed_in
    assert error_of(phone.try_refresh()) == INVALID_GRANT


def test_signing_out_with_an_old_token_still_works_across_it(
    phone: Phone, use_keys: UseKeys
) -> None:
    use_keys(SECOND, FIRST)
    assert Phone().send("POST", "revoke", {"token": phone.refresh_token}).json() == {}
    assert DeviceSession.objects.get().revoked_reason == "token_revoked"
    assert not phone.is_signed_in


def test_devices_of_either_key_are_listed_ended_and_limited_alike(
    clock: Clock, phone: Phone, use_keys: UseKeys, settings: Settings
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 2}
    use_keys(SECOND, FIRST)
    clock.forward(seconds=1)
    tablet = Phone(phone.username, {"name": "tablet"}).sign_in()
    listed = tablet.send("GET", "devices").json()
    assert [device["name"] for device in listed] == ["tablet", "phone"]
    clock.forward(seconds=1)
    laptop = Phone(phone.username, {"name": "laptop"}).sign_in()
    assert not phone.is_signed_in
    assert DeviceSession.objects.get(pk=phone.session_id).revoked_reason == "evicted"
    assert laptop.send("DELETE", f"devices/{tablet.session_id}").status_code == 204
    assert not tablet.is_signed_in


def test_a_password_changed_after_it_ends_sessions_of_either_key(
    alice: User, phone: Phone, use_keys: UseKeys
) -> None:
    use_keys(SECOND, FIRST)
    tablet = Phone(alice.username, {"name": "tablet"}).sign_in()
    alice.set_password("another horse, another battery")
    alice.save()
    for device in (phone, tablet):
        assert error_of(device.call()) == INVALID_TOKEN
        assert error_of(device.try_refresh()) == INVALID_GRANT


def test_a_password_changed_before_it_is_not_forgotten(
    alice: User, phone: Phone, use_keys: UseKeys
) -> None:
    alice.set_password("another horse, another battery")
    alice.save()
    use_keys(SECOND, FIRST)
    assert error_of(phone.call()) == INVALID_TOKEN
    assert error_of(phone.try_refresh()) == INVALID_GRANT


def test_a_token_under_a_dropped_key_is_refused_without_a_query(
    phone: Phone, use_keys: UseKeys, statements: Callable[[], Statements]
) -> None:
    use_keys(SECOND)
    with pytest.raises(ForgedTokenError):
        token_codec().parse(phone.refresh_token, TokenKind.REFRESH)
    with statements() as sql:
        assert error_of(phone.call()) == INVALID_TOKEN
        assert error_of(phone.try_refresh()) == INVALID_GRANT
        assert Phone().send("POST", "revoke", {"token": phone.refresh_token}).json() == {}
    assert sql.sql == []
    use_keys(SECOND, FIRST)
    assert phone.is_signed_in
