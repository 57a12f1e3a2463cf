"""A server killed in the middle of a refresh: the app asks again and is never signed out."""

import pytest
from django.db import connection

from authx.models import DeviceSession
from authx.rest.views import tokens as views
from tests.phone import Phone
from tests.processes import die, exit_code_of

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

KILLED = -9
STATEMENTS_OF_A_REFRESH = 2


def refresh_killed_before_statement(number: int, token: str) -> None:
    seen = []

    def count(execute, sql, params, many, context):  # type: ignore[no-untyped-def]  # noqa: ANN001, ANN202
        seen.append(sql)
        if len(seen) == number:
            die()
        return execute(sql, params, many, context)

    with connection.execute_wrapper(count):
        Phone().try_refresh(token)


def refresh_killed_before_answer(token: str) -> None:
    views.TokenView.respond = lambda *_: die()  # type: ignore[method-assign, assignment]
    Phone().try_refresh(token)


def assert_recovers(phone: Phone) -> None:
    """Expect the app to get on with the token it still has, by one rotation in all."""
    phone.refresh()
    assert DeviceSession.objects.get().generation == 1
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


@pytest.mark.parametrize("number", range(1, STATEMENTS_OF_A_REFRESH + 1))
def test_killed_before_any_statement_the_token_still_works(phone: Phone, number: int) -> None:
    killed = exit_code_of(refresh_killed_before_statement, number, phone.refresh_token)
    assert killed == KILLED
    assert DeviceSession.objects.get().generation == 0
    assert_recovers(phone)


def test_there_is_no_statement_beyond_those(phone: Phone) -> None:
    beyond = STATEMENTS_OF_A_REFRESH + 1
    assert exit_code_of(refresh_killed_before_statement, beyond, phone.refresh_token) == 0


def test_killed_between_the_write_and_the_answer_the_token_still_works(phone: Phone) -> None:
    assert exit_code_of(refresh_killed_before_answer, phone.refresh_token) == KILLED
    assert DeviceSession.objects.get().generation == 1
    assert_recovers(phone)


@pytest.mark.parametrize("number", [1, 2])
def test_killed_in_a_retry_that_needs_a_fresh_access_token_the_token_still_works(
    phone: Phone, number: int
) -> None:
    phone.try_refresh()
    DeviceSession.objects.update(expiry="2026-01-01T00:00Z")
    killed = exit_code_of(refresh_killed_before_statement, number, phone.refresh_token)
    assert killed == KILLED
    assert_recovers(phone)
