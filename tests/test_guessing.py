"""Guessing passwords: limited for an account and, apart, for a source; owners stay in."""

import re
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError
from django.test import Client
from redis import Redis

from authx.models import EventKind, SecurityEvent
from authx.passwords.limits import name_bucket
from authx.throttling.limits import Limit
from tests.conftest import Clock
from tests.guessing import ELSEWHERE, WRONG, altered, guess, sign_in_from, statuses
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

LIMITED = (429, "rate_limited")
FIVE_THEN_NO = [400] * 5 + [429]


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_the_sixth_guess_in_a_minute_is_refused_for_known_and_unknown_alike(
    clock: Clock, alice: User, username: str
) -> None:
    assert statuses(5, username) == [400] * 5
    response = guess(username, PASSWORD)
    assert error_of(response) == LIMITED
    assert response.headers["Retry-After"] == "61"
    assert response.headers["Cache-Control"] == "no-store"
    assert b"alice" not in response.content


def test_the_right_password_is_refused_as_well_once_the_limit_is_reached(
    clock: Clock, alice: User
) -> None:
    assert statuses(5) == [400] * 5
    assert guess(password=PASSWORD).status_code == HTTPStatus.TOO_MANY_REQUESTS


@pytest.mark.parametrize("seconds", [0, 17.25, 59.5])
def test_a_sign_in_after_the_wait_succeeds_and_one_before_does_not(
    clock: Clock, alice: User, seconds: float
) -> None:
    statuses(5)
    clock.forward(seconds=seconds)
    wait = int(guess().headers["Retry-After"])
    clock.forward(seconds=wait - 1.01)
    assert guess(password=PASSWORD).status_code == HTTPStatus.TOO_MANY_REQUESTS
    clock.forward(seconds=1.01)
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


def test_the_wait_grows_from_a_minute_to_a_day(clock: Clock, alice: User) -> None:
    waits = []
    for _ in range(6):
        assert statuses(6) == FIVE_THEN_NO
        waits.append(int(guess().headers["Retry-After"]))
        clock.forward(seconds=waits[-1])
    # Fifteen fill the hour, thirty the day; each wait ends when the oldest of them is over.
    assert waits == [61, 61, 3601 - 2 * 61, 61, 61, 86401 - 3601 - 2 * 61]


def test_refused_attempts_do_not_prolong_the_wait(clock: Clock, alice: User) -> None:
    for _ in range(3):
        assert statuses(5) == [400] * 5
        clock.forward(minutes=2)
    wait = int(guess().headers["Retry-After"])
    clock.forward(seconds=wait - 5)
    assert statuses(20) == [429] * 20
    clock.forward(seconds=5)
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


def test_a_success_clears_the_count_of_its_account_only(
    clock: Clock, alice: User, bob: User
) -> None:
    assert statuses(4) == statuses(4, "bob") == [400] * 4
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK
    assert statuses(5) == [400] * 5
    assert statuses(2, "bob") == [400, 429]


@pytest.mark.parametrize(
    "spelling", ["Nobody", "\uff2eOBODY", "\uff4eobody", " nobody ", "nobody\u2003"]
)
def test_spellings_of_an_unknown_name_share_a_count(clock: Clock, spelling: str) -> None:
    assert statuses(5, spelling) == [400] * 5
    assert guess("nobody").status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_accounts_whose_names_differ_by_case_have_a_count_each(clock: Clock, alice: User) -> None:
    User.objects.create_user("Alice", password="a password of one's own")
    for _ in range(3):
        assert statuses(4) == [400] * 4
        own = guess("Alice", "a password of one's own")
        assert own.status_code == HTTPStatus.OK
        clock.forward(seconds=61)
    # Signing in to one's own account has cleared no guess at the other.
    assert statuses(4) == [400] * 3 + [429]


def test_one_name_guessed_from_many_addresses_is_limited(clock: Clock, alice: User) -> None:
    answers = [guess(REMOTE_ADDR=f"198.51.100.{number}").status_code for number in range(6)]
    assert answers == FIVE_THEN_NO


def test_many_names_guessed_from_one_address_are_limited_for_that_address_only(
    clock: Clock, alice: User
) -> None:
    answers = [guess(f"user{number}").status_code for number in range(31)]
    assert answers == [400] * 30 + [429]
    assert sign_in_from(ELSEWHERE).status_code == HTTPStatus.OK


def test_a_success_does_not_clear_the_count_of_its_address(
    clock: Clock, alice: User, bob: User
) -> None:
    answers = [guess(f"user{number}").status_code for number in range(28)]
    assert guess("bob", PASSWORD).status_code == HTTPStatus.OK
    assert answers + statuses(2) == [400] * 29 + [429]


def test_a_refused_address_uses_up_no_account(clock: Clock, alice: User) -> None:
    for number in range(30):
        guess(f"user{number}")
    assert statuses(10) == [429] * 10
    assert statuses(5, REMOTE_ADDR=ELSEWHERE) == [400] * 5


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", True),
        ("2001:db8:1:2::1", "2001:db8:1:3::1", False),
        ("::ffff:203.0.113.1", "203.0.113.1", True),
        ("::ffff:203.0.113.1", "::ffff:203.0.113.2", False),
        ("", "unix:", False),
    ],
)
def test_a_client_network_is_an_ipv4_address_or_an_ipv6_prefix(
    clock: Clock, settings: Any, one: str, other: str, *, same: bool
) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES_PER_IP": ["1/minute"]}
    assert guess("somebody", REMOTE_ADDR=one).status_code == HTTPStatus.BAD_REQUEST
    expected = HTTPStatus.TOO_MANY_REQUESTS if same else HTTPStatus.BAD_REQUEST
    assert guess("another", REMOTE_ADDR=other).status_code == expected


@pytest.mark.parametrize(("proxies", "trusted"), [(0, ""), (1, ", 198.51.100.7")])
def test_a_made_up_forwarding_header_is_no_way_round(
    clock: Clock, settings: Any, proxies: int, trusted: str
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": proxies}
    answers = [
        guess(f"user{number}", headers={"x-forwarded-for": f"10.0.0.{number}{trusted}"})
        for number in range(31)
    ]
    assert [answer.status_code for answer in answers] == [400] * 30 + [429]


def test_a_known_device_gets_in_whatever_others_guess_from_the_same_address(
    clock: Clock, phone: Phone
) -> None:
    for number in range(30):
        guess(f"user{number}")
    assert statuses(6) == [429] * 6
    assert statuses(6, REMOTE_ADDR=ELSEWHERE) == FIVE_THEN_NO
    assert phone.sign_in().is_signed_in


def test_a_known_device_has_a_limit_of_its_own(clock: Clock, phone: Phone) -> None:
    assert statuses(6, credential=phone.credential) == FIVE_THEN_NO
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK
    assert guess(credential=phone.credential).status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_whoever_knows_only_the_installation_id_guesses_like_any_stranger(
    clock: Clock, phone: Phone
) -> None:
    copy = Phone(device=phone.device)
    answers = [copy.try_sign_in(WRONG).status_code for _ in range(6)]
    assert answers == FIVE_THEN_NO
    assert statuses(1) == [429]
    assert phone.sign_in().is_signed_in


def test_a_device_stays_known_when_its_session_has_ended(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    statuses(6)
    assert phone.sign_in().is_signed_in


@pytest.mark.parametrize("username", ["alice", "nobody"])
def test_forged_credentials_get_no_limit_of_their_own(
    clock: Clock, phone: Phone, username: str
) -> None:
    forged = [altered(phone.credential, place) for place in range(1, 7)]
    answers = [guess(username, credential=one).status_code for one in forged]
    assert answers == FIVE_THEN_NO


def test_a_device_of_another_user_gets_no_limit_of_its_own(
    clock: Clock, phone: Phone, bob: User
) -> None:
    assert statuses(5, "bob") == [400] * 5
    refused = guess("bob", credential=phone.credential)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_the_admin_is_limited_like_the_api(clock: Clock, admin_user: User) -> None:
    form = {"username": "admin", "password": WRONG}
    answers = [Client().post("/admin/login/", form) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [200] * 5 + [429]
    assert error_of(answers[-1]) == LIMITED
    assert answers[-1].headers["Retry-After"] == "61"
    assert answers[-1].headers["Cache-Control"] == "no-store"
    assert guess("admin").status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_a_success_in_the_admin_clears_the_count_of_its_account(
    clock: Clock, admin_user: User
) -> None:
    form = {"username": "admin", "password": "password"}
    assert statuses(4, "admin") == [400] * 4
    assert Client().post("/admin/login/?next=/admin/", form).status_code == HTTPStatus.FOUND
    assert statuses(5, "admin") == [400] * 5


def test_malformed_credentials_are_neither_counted_nor_a_way_round(
    clock: Clock, alice: User
) -> None:
    assert statuses(40, password="") == [400] * 40
    assert statuses(6) == FIVE_THEN_NO
    assert error_of(guess(password="")) == (400, "invalid_request")


def test_a_crossed_limit_is_recorded_once_in_its_window(clock: Clock, alice: User) -> None:
    assert statuses(5 + 20) == [400] * 5 + [429] * 20
    told = SecurityEvent.objects.get(kind=EventKind.SIGN_IN_LIMITED)
    assert (told.reason, told.ip) == ("sign-ins to an account", "127.0.0.1")
    assert told.user_id == alice.pk


def test_a_limit_holds_although_it_cannot_be_recorded(clock: Clock, alice: User) -> None:
    assert statuses(5) == [400] * 5
    with mock.patch("authx.passwords.limits.record_event", side_effect=OperationalError):
        assert statuses(1) == [429]


@pytest.mark.postgresql
def test_redis_holds_no_name_no_device_and_no_address(
    clock: Clock, settings: Any, phone: Phone
) -> None:
    statuses(6, REMOTE_ADDR=ELSEWHERE)
    guess(credential=phone.credential)
    phone.refresh().call()
    with Redis.from_url(settings.AUTHX["THROTTLE_STORAGE_URL"]) as redis:
        keys = list(redis.scan_iter("authx:*"))
    assert len(keys) >= 10
    shape = rb"authx:LIMITER/(exceeded/)?[0-9a-f]{64}/\d+/1/(minute|hour|day)"
    assert [key for key in keys if not re.fullmatch(shape, key)] == []


def test_a_key_differs_by_name_and_by_the_secret_key(settings: Any) -> None:
    def keys() -> set[str]:
        names = ["alice", "bob", "\ud800", "x" * 10_000]
        return {name_bucket(name).key for name in names}

    before = keys()
    settings.SECRET_KEY = "another key altogether"
    assert len(before | keys()) == 8


def test_names_are_compared_in_compatibility_form_whatever_their_case() -> None:
    assert name_bucket("\u2122").key == name_bucket("tm").key


def test_the_shortest_window_is_asked_first_in_whatever_order_they_are_set() -> None:
    windows = Limit("kind", "subject", ["30/day", "5/minute", "15/hour"]).windows
    assert [window.get_expiry() for window in windows] == [60, 3600, 86400]
