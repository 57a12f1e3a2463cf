"""What is counted, told and answered when one session asks as often as it can."""

from typing import Any
from unittest import mock

import pytest
from django.db import connection

from authx.errors import ConflictError
from authx.models import Notification, SecurityEvent
from authx.sessions import statements
from authx.throttling import classes as limits
from tests.conftest import Clock
from tests.phone import Phone
from tests.places import AWAY, HOME, refresh_from
from tests.processes import Processes


@pytest.mark.django_db
def test_a_refresh_that_lost_its_update_is_counted_once(clock: Clock, phone: Phone) -> None:
    taken: list[Any] = []
    phone.refresh()
    rotate = statements.rotate
    lost = [True, True, True]

    def lose_three(*args: Any) -> None:
        if lost:
            lost.pop()
            raise ConflictError
        rotate(*args)

    with (
        mock.patch.object(limits, "consume", lambda *each: taken.extend(each)),
        mock.patch.object(statements, "rotate", lose_three),
    ):
        phone.try_refresh()
    assert len(taken) == 1


@pytest.mark.django_db
def test_a_session_is_refreshed_at_most_twice_as_often_as_its_rate(
    clock: Clock, phone: Phone
) -> None:
    answered = 0
    # A burst takes the sixty; whoever then waits a second each time is not counted.
    for _ in range(60):
        clock.forward(milliseconds=5)
        answered += phone.try_refresh().status_code == 200 and bool(phone.refresh())
    for _ in range(58):
        clock.forward(seconds=1)
        answer = phone.try_refresh()
        if answer.status_code == 200:
            phone.pair = answer.json()
            answered += 1
    assert 60 < answered <= 2 * 60


def _retry(token: str) -> int:
    return refresh_from(token, "the-key-of-a-thief", **AWAY).status_code


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_two_places_is_one_event_and_one_mail_a_generation(
    phone: Phone, without_limits: None
) -> None:
    token = phone.refresh_token
    refresh_from(token, "the-key-of-the-app", **HOME)
    with Processes(8) as processes:
        answers = processes.together([(_retry, (token,))] * 8)
    assert set(answers) == {200}
    assert SecurityEvent.objects.filter(kind="two_places").count() == 1
    assert Notification.objects.filter(event__kind="two_places").count() == 1


@pytest.mark.django_db
def test_an_attacker_cannot_flood_the_owner_with_mails(clock: Clock, phone: Phone) -> None:
    """One mail a generation, and generations cost nothing: 30 and more mails a minute."""
    for _ in range(30):
        clock.forward(milliseconds=1100)
        old = phone.refresh_token
        phone.pair = refresh_from(old, **HOME).json()
        assert refresh_from(old, **AWAY).status_code == 200
    assert Notification.objects.filter(event__kind="two_places").count() <= 5


def _use(pair: dict[str, Any]) -> list[int]:
    return [Phone(pair=pair).call().status_code for _ in range(6)]


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_use_is_never_refused_because_others_use_the_same_token(
    phone: Phone, without_limits: None, settings: Any
) -> None:
    """MIN_REFRESH_INTERVAL = 0 passes the checks."""
    settings.REST_KNOX = settings.REST_KNOX | {"MIN_REFRESH_INTERVAL": 0}
    with Processes(24) as processes:
        answers = processes.together([(_use, (phone.pair,))] * 24)
    assert {status for each in answers for status in each} == {200}


@pytest.mark.django_db
def test_connection_queries_show_parameters(phone: Phone) -> None:
    connection.force_debug_cursor = True
    connection.queries_log.clear()
    try:
        phone.call()
        (first, *_) = connection.queries
        assert "%s" not in first["sql"]
        assert "$1" not in first["sql"]
    finally:
        connection.force_debug_cursor = False
