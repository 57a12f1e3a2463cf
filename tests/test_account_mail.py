"""Who is kept out by guesses of others is told, at most once a day, with the way back in."""

import pytest
from django.contrib.auth.models import User

from authx.models import EventKind, PasswordFailures, SecurityEvent
from tests.account import link_in, mails, with_address
from tests.conftest import Clock
from tests.guessing import ELSEWHERE, guess, statuses
from tests.phone import PASSWORD

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(alice: User) -> User:
    return with_address(alice)


def guess_for_a_day(clock: Clock) -> None:
    """Use up what a day allows, a few an hour."""
    for _ in range(7):
        statuses(6, REMOTE_ADDR=ELSEWHERE)
        clock.forward(minutes=61)


def test_a_pause_of_a_minute_is_no_mail(alice: User) -> None:
    assert statuses(7)[-1] == 429
    assert SecurityEvent.objects.filter(kind=EventKind.SIGN_IN_LIMITED).exists()
    assert mails() == []


def test_a_pause_of_an_hour_is_no_mail(clock: Clock, alice: User) -> None:
    for _ in range(3):
        assert statuses(5, REMOTE_ADDR=ELSEWHERE) == [400] * 5
        clock.forward(minutes=1, seconds=1)
    refused = guess(REMOTE_ADDR=ELSEWHERE)
    assert 3000 < int(refused.headers["Retry-After"]) <= 3601
    assert mails() == []


def test_a_pause_of_hours_is_one_mail_with_the_way_back(clock: Clock, alice: User) -> None:
    guess_for_a_day(clock)
    (message,) = mails()
    assert message.subject == "Too many failed sign-ins"
    assert link_in(message).startswith("/account/recover/")
    guess_for_a_day(clock)
    assert len(mails()) == 1


def test_it_is_mailed_again_on_another_day(clock: Clock, alice: User) -> None:
    guess_for_a_day(clock)
    clock.forward(days=2)
    guess_for_a_day(clock)
    assert len(mails()) == 2


def test_a_password_that_is_switched_off_is_one_mail_a_day(clock: Clock, alice: User) -> None:
    for _ in range(2):
        guess()
        PasswordFailures.objects.update(count=99)
        guess()
    (message,) = mails()
    assert message.subject == "Your password was switched off"
    assert link_in(message).startswith("/account/recover/")
    assert guess(password=PASSWORD).status_code == 400
    clock.forward(days=1, seconds=1)
    PasswordFailures.objects.update(count=99)
    guess()
    assert len(mails()) == 2


def test_guesses_at_a_name_that_nobody_has_are_no_mail(clock: Clock) -> None:
    for _ in range(7):
        statuses(6, "nobody", REMOTE_ADDR=ELSEWHERE)
        clock.forward(minutes=61)
    assert not SecurityEvent.objects.filter(kind=EventKind.SIGN_IN_LIMITED).exists()
    assert mails() == []
