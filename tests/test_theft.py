"""Theft: a consumed token that comes back ends its session, for good and no other."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection, transaction

from authx.models import DeviceSession
from authx.sessions.refresh import refresh_session
from authx.sessions.sweep import sweep
from tests.conftest import Clock
from tests.phone import Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

REFUSED = (HTTPStatus.BAD_REQUEST, "invalid_grant")


def test_a_token_retried_after_the_window_of_its_successors_use_is_reuse(
    clock: Clock, phone: Phone
) -> None:
    stolen = phone.refresh_token
    assert phone.refresh().is_signed_in
    clock.forward(seconds=10)
    assert error_of(phone.try_refresh(stolen)) == REFUSED
    assert not phone.is_signed_in


def test_a_token_five_generations_old_is_caught_although_all_was_swept_in_between(
    clock: Clock, phone: Phone, tablet: Phone
) -> None:
    stolen = phone.refresh_token
    for _ in range(5):
        clock.forward(days=10)
        phone.refresh()
        tablet.refresh()
        sweep()
    assert error_of(phone.try_refresh(stolen)) == REFUSED
    assert not phone.is_signed_in
    assert error_of(phone.try_refresh()) == REFUSED
    assert tablet.is_signed_in
    assert tablet.refresh().is_signed_in


def test_the_last_but_one_generation_is_reuse_after_its_grace_period(
    clock: Clock, phone: Phone
) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    clock.forward(seconds=10)
    phone.refresh()
    assert error_of(phone.try_refresh(stolen)) == REFUSED
    assert DeviceSession.objects.get().revoked_reason == "reuse_detected"


def test_an_attacker_who_refreshes_first_is_detected_by_the_next_refresh_of_the_phone(
    clock: Clock, phone: Phone
) -> None:
    thief = Phone(pair=phone.pair)
    assert thief.refresh().is_signed_in
    assert thief.refresh().is_signed_in
    clock.forward(seconds=10)
    assert error_of(phone.try_refresh()) == REFUSED
    assert not thief.is_signed_in
    assert error_of(thief.try_refresh()) == REFUSED


@pytest.mark.usefixtures("no_grace_period")
def test_reuse_once_ended_is_not_counted_twice(phone: Phone, committed: Any, caplog: Any) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    with committed():
        phone.try_refresh(stolen)
        ended_at = DeviceSession.objects.get().revoked_at
        phone.try_refresh(stolen)
    assert DeviceSession.objects.get().revoked_at == ended_at
    assert [record.levelname for record in caplog.records].count("CRITICAL") == 1


@pytest.mark.usefixtures("no_grace_period")
def test_reuse_is_logged_with_session_and_generation_but_no_token(
    phone: Phone, committed: Any, caplog: Any
) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    with committed():
        phone.try_refresh(stolen)
    (record,) = [record for record in caplog.records if record.levelname == "CRITICAL"]
    assert phone.session_id in record.getMessage()
    assert "generation 0 presented again at 2" in record.getMessage()
    assert stolen not in caplog.text


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("no_grace_period")
@pytest.mark.parametrize("atomic_requests", [False, True])
def test_the_revocation_is_committed_although_the_answer_is_an_error(
    alice: User, atomic_requests: bool
) -> None:
    connection.settings_dict["ATOMIC_REQUESTS"] = atomic_requests
    try:
        phone = Phone().sign_in()
        stolen = phone.refresh_token
        phone.refresh().refresh()
        assert error_of(phone.try_refresh(stolen)) == REFUSED
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    # Another connection sees only what was committed.
    connection.close()
    assert DeviceSession.objects.get().revoked_reason == "reuse_detected"
    assert not phone.is_signed_in


@pytest.mark.django_db(transaction=True)
def test_a_rotation_inside_a_transaction_of_the_caller_raises(phone: Phone) -> None:
    with pytest.raises(RuntimeError, match="another transaction"), transaction.atomic():
        refresh_session(raw_token=phone.refresh_token)
    assert phone.refresh().is_signed_in
