"""Parallel refreshes with one token: everybody gets the same pair (judged by PostgreSQL)."""

from typing import Any

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession
from tests.effort import rounds
from tests.phone import Phone
from tests.processes import Processes

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    # More at once than any phone or household does.
    pytest.mark.usefixtures("without_limits"),
]

PROCESSES = 16
ROUNDS = rounds(4, 20)
VARIANT_ROUNDS = rounds(2, 8)


def refresh(token: str) -> tuple[int, dict[str, Any]]:
    response = Phone().try_refresh(token)
    return response.status_code, response.json()


def test_sixteen_processes_with_one_token_get_one_pair_by_one_rotation(phone: Phone) -> None:
    with Processes(PROCESSES) as processes:
        for generation in range(1, ROUNDS + 1):
            answers = processes.together([(refresh, (phone.refresh_token,))] * PROCESSES)
            assert [status for status, _ in answers] == [200] * PROCESSES
            pairs = {(pair["access_token"], pair["refresh_token"]) for _, pair in answers}
            assert len(pairs) == 1
            assert DeviceSession.objects.get().generation == generation
            phone.pair = answers[0][1]
    assert phone.is_signed_in


def test_parallel_retries_after_the_access_token_expired_get_one_fresh_access_token(
    phone: Phone,
) -> None:
    lost = phone.try_refresh().json()
    with Processes(PROCESSES) as processes:
        for _ in range(VARIANT_ROUNDS):
            DeviceSession.objects.update(expiry="2026-01-01T00:00Z")
            answers = processes.together([(refresh, (phone.refresh_token,))] * PROCESSES)
            assert {pair["refresh_token"] for _, pair in answers} == {lost["refresh_token"]}
            assert len({pair["access_token"] for _, pair in answers}) == 1


@pytest.mark.usefixtures("no_grace_period")
def test_parallel_reuse_of_an_old_token_ends_the_session_once(
    phone: Phone, tablet: Phone, alice: User
) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    with Processes(PROCESSES) as processes:
        answers = processes.together([(refresh, (stolen,))] * PROCESSES)
    assert {(status, body["error"]) for status, body in answers} == {(400, "invalid_grant")}
    assert not phone.is_signed_in
    assert tablet.is_signed_in
    assert DeviceSession.objects.filter(user=alice, revoked_reason="reuse_detected").count() == 1
