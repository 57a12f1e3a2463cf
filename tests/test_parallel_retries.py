"""Parallel retries from two places: told once (judged by PostgreSQL)."""

from collections.abc import Callable

import pytest

from authx.models import Notification, SecurityEvent
from tests.phone import Phone
from tests.processes import Processes
from tests.stolen_copy import ELSEWHERE, HOME, sent_from

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.usefixtures("without_limits"),
]

PROCESSES = 8


def retry_from_elsewhere(token: str) -> int:
    return Phone().try_refresh(token, **sent_from(ELSEWHERE)).status_code


def retry_with_another_key(token: str) -> int:
    return Phone().try_refresh(token, key="of-somebody-else", **sent_from(HOME)).status_code


@pytest.mark.parametrize("retry", [retry_from_elsewhere, retry_with_another_key])
def test_two_places_are_recorded_once_per_generation_however_many_retry_at_once(
    phone: Phone, retry: Callable[[str], int]
) -> None:
    with Processes(PROCESSES) as processes:
        for rounds in range(1, 4):
            old = phone.refresh_token
            phone.pair = phone.try_refresh(**sent_from(HOME)).json()
            assert processes.together([(retry, (old,))] * PROCESSES) == [200] * PROCESSES
            assert SecurityEvent.objects.filter(kind="two_places").count() == rounds
    mails = Notification.objects.count()
    # One a day for a session.
    assert mails == (1 if retry is retry_from_elsewhere else 0)
