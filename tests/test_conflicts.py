"""What another process or the database threw out is tried again, a bounded number of times."""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import DatabaseError

from authx.errors import ConflictError
from authx.sessions.locking import ATTEMPTS, retry_on_conflict


def thrown_out(sqlstate: str) -> DatabaseError:
    error, cause = DatabaseError(), Exception()
    vars(cause)["sqlstate"] = sqlstate
    error.__cause__ = cause
    return error


def failing(error: Exception, times: int) -> tuple[Callable[[], str], list[int]]:
    tries: list[int] = []

    def attempt() -> str:
        tries.append(len(tries))
        if len(tries) <= times:
            raise error
        return "done"

    return attempt, tries


@pytest.mark.parametrize("error", [ConflictError(), thrown_out("40001"), thrown_out("40P01")])
def test_what_was_thrown_out_is_tried_again(error: Exception) -> None:
    attempt, tries = failing(error, times=ATTEMPTS - 1)
    assert retry_on_conflict(attempt) == "done"
    assert len(tries) == ATTEMPTS


@pytest.mark.parametrize("error", [ConflictError(), thrown_out("40001")])
def test_the_number_of_tries_is_bounded(error: Any) -> None:
    attempt, tries = failing(error, times=ATTEMPTS)
    with pytest.raises(type(error)):
        retry_on_conflict(attempt)
    assert len(tries) == ATTEMPTS


def test_another_error_is_not_tried_again() -> None:
    attempt, tries = failing(thrown_out("57P01"), times=1)
    with pytest.raises(DatabaseError):
        retry_on_conflict(attempt)
    assert len(tries) == 1
