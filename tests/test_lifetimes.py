"""AUTHX["LIFETIMES"]: lifetimes and session limit by user and device."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from authx import api
from authx.models import DeviceSession
from tests.conftest import Clock, Statements
from tests.phone import PASSWORD, Phone

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

HOUR, DAY = timedelta(hours=1), timedelta(days=1)
answer = mock.Mock()


def lifetimes(user: User, device: api.Device) -> Any:
    return answer(user, device)


@pytest.fixture
def of_tv(settings: Any) -> None:
    """Let a television stay signed in for a day, everything else as the settings say."""
    settings.AUTHX = settings.AUTHX | {"LIFETIMES": f"{__name__}.lifetimes"}
    short = api.Lifetimes(
        access_token_ttl=timedelta(minutes=5),
        refresh_token_ttl=2 * HOUR,
        session_ttl=DAY,
        session_limit=2,
    )
    answer.reset_mock()
    answer.side_effect = lambda _, device: short if device.platform == "tv" else api.Lifetimes()


@pytest.fixture
def tv(clock: Clock, of_tv: None, alice: User) -> Phone:
    return Phone(device={"installation_id": "tv", "platform": "tv"}).sign_in()


def spans(pair: dict[str, Any]) -> tuple[int, int, int]:
    return pair["expires_in"], pair["refresh_token_expires_in"], pair["session_expires_in"]


def test_they_depend_on_the_device(clock: Clock, tv: Phone, alice: User) -> None:
    assert spans(tv.pair) == (300, 7200, 86400)
    phone = Phone(device={"name": "phone"}).sign_in()
    assert spans(phone.pair) == (900, 30 * 86400, 180 * 86400)
    user, device = answer.call_args_list[0].args
    assert (user, device.platform) == (alice, "tv")


def test_they_are_enforced(clock: Clock, tv: Phone) -> None:
    clock.forward(minutes=5)
    assert not tv.is_signed_in
    # A day after the sign-in, however often it refreshed.
    for _ in range(24):
        tv.refresh()
        clock.forward(minutes=59)
    assert tv.refresh().pair["session_expires_in"] == 19 * 60
    clock.forward(minutes=19)
    assert tv.try_refresh().status_code == HTTPStatus.BAD_REQUEST


def test_an_unused_refresh_token_expires(clock: Clock, tv: Phone) -> None:
    clock.forward(hours=2)
    assert tv.try_refresh().status_code == HTTPStatus.BAD_REQUEST


def test_a_use_renews_for_the_shorter_time(clock: Clock, tv: Phone) -> None:
    clock.forward(minutes=4)
    renewed = tv.call()
    assert renewed.headers["Authentication-Info"] == "expires_in=300"
    clock.forward(minutes=4)
    assert tv.is_signed_in


def test_a_retry_is_answered_for_the_shorter_time(clock: Clock, tv: Phone) -> None:
    first = tv.try_refresh().json()
    clock.forward(minutes=1)
    assert tv.try_refresh().json()["expires_in"] == first["expires_in"] - 60
    clock.forward(minutes=5)
    fresh = tv.try_refresh().json()
    assert (fresh["expires_in"], fresh["generation"]) == (300, 1)


def test_what_was_said_at_the_sign_in_keeps_holding(clock: Clock, tv: Phone, settings: Any) -> None:
    settings.AUTHX = {name: value for name, value in settings.AUTHX.items() if name != "LIFETIMES"}
    assert spans(tv.refresh().pair) == (300, 7200, 86400)


def test_where_it_said_nothing_the_settings_hold_as_they_are(
    clock: Clock, of_tv: None, alice: User, settings: Any
) -> None:
    phone = Phone().sign_in()
    settings.REST_KNOX = settings.REST_KNOX | {"TOKEN_TTL": timedelta(minutes=10)}
    # The end of a session is set at the sign-in.
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_TTL": 3 * DAY, "SESSION_TTL": 9 * DAY}
    assert spans(phone.pair) == (900, 30 * 86400, 180 * 86400)
    assert spans(phone.refresh().pair) == (600, 3 * 86400, 180 * 86400)


def test_a_changed_limit_holds_at_the_next_sign_in(of_tv: None, alice: User, settings: Any) -> None:
    phones = [Phone(device={"installation_id": f"phone {n}"}).sign_in() for n in range(3)]
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 2}
    assert all(phone.is_signed_in for phone in phones)
    phones.append(Phone(device={"installation_id": "phone 3"}).sign_in())
    assert [phone.is_signed_in for phone in phones] == [False, False, True, True]


def test_it_is_asked_once_for_a_session(clock: Clock, tv: Phone) -> None:
    tv.call()
    tv.refresh()
    clock.forward(minutes=2)
    tv.call()
    assert answer.call_count == 1


@pytest.mark.postgresql
def test_requests_and_refreshes_cost_as_many_statements_as_ever(
    tv: Phone, statements: Callable[[], Statements]
) -> None:
    with statements() as request:
        assert tv.is_signed_in
    with statements() as refresh:
        tv.refresh()
    assert (request.with_transactions, refresh.with_transactions) == (1, 2)


def test_the_limit_counts_all_sessions_of_the_user(of_tv: None, alice: User) -> None:
    phones = [Phone(device={"installation_id": f"phone {n}"}).sign_in() for n in range(3)]
    tv = Phone(device={"platform": "tv"}).sign_in()
    assert [phone.is_signed_in for phone in (*phones, tv)] == [False, False, True, True]


def test_a_new_password_asks_again(clock: Clock, tv: Phone) -> None:
    change = {"current_password": PASSWORD, "new_password": "tomato xylophone"}
    pair = tv.send("POST", "password", change).json()
    assert spans(pair) == (300, 7200, 86400)
    assert answer.call_args.args[1].platform == "tv"


def test_the_maximum_bounds_what_was_said(clock: Clock, tv: Phone, settings: Any) -> None:
    settings.REST_KNOX = settings.REST_KNOX | {"AUTO_REFRESH_MAX_TTL": timedelta(minutes=2)}
    assert tv.refresh().pair["expires_in"] == 120


WRONG = {
    "nothing": None,
    "a dict": {"session_ttl": HOUR},
    "seconds": api.Lifetimes(session_ttl=3600),  # type: ignore[arg-type]  # the mistake
    "zero": api.Lifetimes(refresh_token_ttl=timedelta(0)),
    "for ever": api.Lifetimes(session_ttl=timedelta.max),
    "no limit": api.Lifetimes(session_limit=0),
    "a true limit": api.Lifetimes(session_limit=True),
    "longer than the maximum": api.Lifetimes(access_token_ttl=2 * HOUR),
    "never renewed": api.Lifetimes(access_token_ttl=timedelta(seconds=60)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_answer_is_a_clear_error(of_tv: None, alice: User, wrong: Any) -> None:
    answer.side_effect = lambda *_: wrong
    with pytest.raises(ImproperlyConfigured, match=r"test_lifetimes\.lifetimes', which returned"):
        api.open_session(user=alice)
    assert not DeviceSession.objects.exists()
    assert Phone().try_sign_in().status_code == HTTPStatus.INTERNAL_SERVER_ERROR


def test_an_access_token_outlives_its_grace_period(of_tv: None, alice: User, settings: Any) -> None:
    settings.REST_KNOX = settings.REST_KNOX | {"AUTO_REFRESH": False}
    answer.side_effect = lambda *_: api.Lifetimes(access_token_ttl=timedelta(seconds=30))
    assert api.open_session(user=alice).expires_in == 30
    answer.side_effect = lambda *_: api.Lifetimes(access_token_ttl=timedelta(seconds=10))
    with pytest.raises(ImproperlyConfigured, match="GRACE_PERIOD"):
        api.open_session(user=alice)
