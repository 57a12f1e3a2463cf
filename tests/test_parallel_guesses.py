"""Guesses at the same moment, from several processes: no more are looked at than the limit says."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User

from authx.models import PasswordFailures
from tests.guessing import WRONG, guess
from tests.processes import Processes

pytestmark = [pytest.mark.no_cover, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

PROCESSES = 8
EACH = 25
ALL = PROCESSES * EACH


@contextmanager
def checks_counted() -> Iterator[list[str]]:
    """Count how often a password is looked at, in this process."""
    looked_at: list[str] = []
    check = User.check_password

    def count(user: User, password: str) -> bool:
        looked_at.append(user.username)
        return check(user, password)

    with mock.patch.object(User, "check_password", count):
        yield looked_at


def guess_often(names: list[str]) -> tuple[list[int], int]:
    """Return what each guess was answered, and how many passwords were looked at."""
    with checks_counted() as looked_at:
        answers = [guess(name).status_code for name in names]
    return answers, len(looked_at)


def all_at_once(names: list[str]) -> tuple[list[int], int]:
    """Guess at these names, shared out among the processes."""
    with Processes(PROCESSES) as processes:
        shares = [names[number::PROCESSES] for number in range(PROCESSES)]
        results = processes.together([(guess_often, (share,)) for share in shares])
    answers = [status for statuses, _ in results for status in statuses]
    return answers, sum(count for _, count in results)


def test_of_two_hundred_guesses_at_one_account_five_are_checked(alice: User) -> None:
    answers, looked_at = all_at_once(["alice"] * ALL)
    assert looked_at == 5
    assert sorted(answers) == [400] * 5 + [429] * (ALL - 5)


def test_of_two_hundred_guesses_at_two_hundred_accounts_thirty_are_checked(db: None) -> None:
    names = [f"user{number}" for number in range(ALL)]
    User.objects.bulk_create(User(username=name, password=WRONG) for name in names)
    answers, looked_at = all_at_once(names)
    assert looked_at == 30
    assert answers.count(400) == 30


def test_guesses_at_the_same_moment_do_not_pass_the_bound_of_failures(
    alice: User, settings: Any, without_limits: None
) -> None:
    settings.AUTHX = settings.AUTHX | {"MAX_PASSWORD_FAILURES": 20}
    answers, looked_at = all_at_once(["alice"] * 80)
    assert looked_at == PasswordFailures.objects.get().count == 20
    assert answers == [400] * 80
