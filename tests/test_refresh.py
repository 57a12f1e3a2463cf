"""Refresh: rotation, the retry of a lost answer, and what a refused token is told."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession
from tests.conftest import Clock
from tests.phone import Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

REFUSED = (HTTPStatus.BAD_REQUEST, "invalid_grant")


def form(**fields: str) -> dict[str, Any]:
    data = "&".join(f"{name}={value}" for name, value in fields.items())
    return {"data": data, "content_type": "application/x-www-form-urlencoded"}


def test_a_refresh_replaces_both_tokens(phone: Phone) -> None:
    old = phone.pair
    phone.refresh()
    assert phone.access_token != old["access_token"]
    assert phone.refresh_token != old["refresh_token"]
    assert phone.is_signed_in


def test_a_refresh_takes_a_form_with_a_charset_as_oauth_clients_send_it(phone: Phone) -> None:
    fields = form(
        grant_type="refresh_token", refresh_token=phone.refresh_token, client_id="app", scope=""
    )
    fields["content_type"] += "; charset=UTF-8"
    response = phone.client.post("/users/token", **fields)
    assert response.status_code == HTTPStatus.OK
    assert response.json()["token_type"] == "Bearer"


def test_a_refresh_keeps_the_device_and_the_absolute_end(clock: Clock, phone: Phone) -> None:
    before = DeviceSession.objects.get()
    for _ in range(50):
        clock.forward(days=1)
        phone.refresh()
    after = DeviceSession.objects.get()
    assert after.absolute_expires_at == before.absolute_expires_at
    assert (after.pk, after.name, after.installation_id) == (before.pk, "phone", "phone")
    assert after.generation == 50


def test_the_previous_access_token_is_refused_after_the_grace_period(
    clock: Clock, phone: Phone
) -> None:
    late_phone = Phone(pair=phone.pair)
    phone.refresh()
    clock.forward(seconds=9.9)
    assert late_phone.is_signed_in
    clock.forward(seconds=0.1)
    assert not late_phone.is_signed_in
    assert phone.is_signed_in


def test_a_superseded_access_token_neither_confirms_nor_renews(clock: Clock, phone: Phone) -> None:
    late_phone = Phone(pair=phone.pair)
    clock.forward(minutes=5)
    phone.refresh()
    before = DeviceSession.objects.values().get()
    assert late_phone.is_signed_in
    assert DeviceSession.objects.values().get() == before
    assert before["confirmed_at"] is None


def test_a_lost_answer_is_answered_again_with_the_same_pair(phone: Phone) -> None:
    lost = phone.try_refresh().json()
    again = phone.try_refresh().json()
    assert again["access_token"] == lost["access_token"]
    assert again["refresh_token"] == lost["refresh_token"]
    assert DeviceSession.objects.get().generation == 1


def test_a_retry_says_what_is_left_and_moves_nothing(clock: Clock, phone: Phone) -> None:
    lost = phone.try_refresh().json()
    before = DeviceSession.objects.values().get()
    clock.forward(seconds=100)
    again = phone.try_refresh().json()
    for name in ("expires_in", "refresh_token_expires_in", "session_expires_in"):
        assert again[name] == lost[name] - 100
    assert DeviceSession.objects.values().get() == before


def test_a_lost_answer_retried_after_20_days_brings_the_same_refresh_token(
    clock: Clock, phone: Phone
) -> None:
    lost = phone.try_refresh().json()
    clock.forward(days=20)
    phone.refresh()
    assert phone.refresh_token == lost["refresh_token"]
    assert phone.pair["expires_in"] == 15 * 60
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


def test_an_access_token_that_expired_unused_stays_dead_after_the_retry(
    clock: Clock, phone: Phone
) -> None:
    lost = Phone(pair=phone.try_refresh().json())
    clock.forward(minutes=15)
    phone.refresh()
    assert phone.access_token != lost.access_token
    assert not lost.is_signed_in
    assert phone.is_signed_in


def test_retries_after_the_access_token_expired_bring_one_fresh_access_token(
    clock: Clock, phone: Phone
) -> None:
    phone.try_refresh()
    clock.forward(days=3)
    answers = [phone.try_refresh().json() for _ in range(3)]
    assert len({answer["access_token"] for answer in answers}) == 1
    assert DeviceSession.objects.get().fresh_access_count == 1


def test_a_retry_within_the_grace_period_after_the_first_use_gets_the_same_pair(
    clock: Clock, phone: Phone
) -> None:
    old = Phone(pair=phone.pair)
    assert phone.refresh().is_signed_in
    clock.forward(seconds=9.9)
    assert old.try_refresh().json()["refresh_token"] == phone.refresh_token


def test_a_retry_does_not_prolong_the_window(clock: Clock, phone: Phone) -> None:
    old = Phone(pair=phone.pair)
    assert phone.refresh().is_signed_in
    clock.forward(seconds=6)
    assert old.try_refresh().status_code == HTTPStatus.OK
    clock.forward(seconds=4)
    assert error_of(old.try_refresh()) == REFUSED
    assert not phone.is_signed_in


def test_strict_answers_a_retry_within_the_window_of_the_rotation_only(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"RETRY": "strict"}
    lost = phone.try_refresh().json()
    clock.forward(seconds=9.9)
    assert phone.try_refresh().json()["refresh_token"] == lost["refresh_token"]
    clock.forward(seconds=0.1)
    assert error_of(phone.try_refresh()) == REFUSED
    assert DeviceSession.objects.get().revoked_reason == "reuse_detected"


def test_strict_with_a_window_of_zero_never_answers_a_retry(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    window = {
        "RETRY": "strict",
        "REFRESH_TOKEN_GRACE_PERIOD": 0 * settings.AUTHX["REFRESH_TOKEN_GRACE_PERIOD"],
    }
    settings.AUTHX = settings.AUTHX | window
    phone.try_refresh()
    assert error_of(phone.try_refresh()) == REFUSED


def test_an_idle_session_expires_at_that_very_instant(clock: Clock, phone: Phone) -> None:
    clock.forward(days=30, microseconds=-1)
    phone.refresh()
    clock.forward(days=30)
    assert error_of(phone.try_refresh()) == REFUSED
    assert not phone.is_signed_in


def test_no_session_outlives_its_absolute_end(clock: Clock, phone: Phone) -> None:
    for _ in range(9):
        clock.forward(days=19)
        phone.refresh()
    clock.forward(days=9, seconds=-30)
    phone.refresh()
    assert phone.pair["expires_in"] == 30
    assert phone.pair["refresh_token_expires_in"] == 30
    assert phone.pair["session_expires_in"] == 30
    clock.forward(seconds=30)
    assert not phone.is_signed_in
    assert error_of(phone.try_refresh()) == REFUSED


def test_lifetimes_hold_although_nothing_is_ever_swept(clock: Clock, phone: Phone) -> None:
    clock.forward(days=400)
    assert not phone.is_signed_in
    assert error_of(phone.try_refresh()) == REFUSED
    assert DeviceSession.objects.count() == 1


def test_a_token_ahead_of_its_session_is_refused_without_an_alarm(phone: Phone) -> None:
    backup: dict[str, Any] = {**DeviceSession.objects.values().get()}
    del backup["sweep_on"]
    phone.refresh().refresh()
    DeviceSession.objects.update(**backup)
    assert error_of(phone.try_refresh()) == REFUSED
    assert DeviceSession.objects.get().revoked_at is None


def test_a_refusal_has_the_same_body_for_every_reason(
    clock: Clock, alice: User, phone: Phone, tablet: Phone
) -> None:
    forged = phone.try_refresh("x" * 100)
    reused = phone.refresh_token
    phone.refresh().refresh()
    clock.forward(seconds=10)
    answers = [forged, phone.try_refresh(reused), phone.try_refresh()]
    clock.forward(days=31)
    answers.append(tablet.try_refresh())
    DeviceSession.objects.filter(pk=tablet.session_id).delete()
    answers.append(tablet.try_refresh())
    assert {answer.content for answer in answers} == {forged.content}
    assert {error_of(answer) for answer in answers} == {REFUSED}
    assert not any("WWW-Authenticate" in answer.headers for answer in answers)


@pytest.mark.parametrize(
    ("body", "refusal"),
    [
        ({}, "invalid_request"),
        ({"grant_type": "refresh_token"}, "invalid_request"),
        ({"grant_type": "", "refresh_token": "x"}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": ""}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 100_000}, "payload_too_large"),
        ({"grant_type": "refresh_token", "refresh_token": "x" * 5_000}, "invalid_request"),
        ({"grant_type": "refresh_token", "refresh_token": ["x"]}, "invalid_request"),
        ({"grant_type": "password", "username": "a"}, "unsupported_grant_type"),
        ({"grant_type": "client_credentials"}, "unsupported_grant_type"),
        ([], "invalid_request"),
    ],
)
def test_what_is_no_refresh_is_refused_by_name(phone: Phone, body: Any, refusal: str) -> None:
    response = phone.client.post("/users/token", body, content_type="application/json")
    assert error_of(response)[1] == refusal
    assert phone.refresh().is_signed_in


def test_a_repeated_form_field_is_refused_and_consumes_nothing(phone: Phone) -> None:
    fields = form(grant_type="refresh_token", refresh_token=phone.refresh_token)
    fields["data"] += "&refresh_token=other"
    response = phone.client.post("/users/token", **fields)
    assert error_of(response) == (HTTPStatus.BAD_REQUEST, "invalid_request")
    assert list(response.json()["fields"]) == ["refresh_token"]
    assert phone.refresh().is_signed_in


def test_a_token_in_the_address_is_not_read(phone: Phone) -> None:
    query = f"grant_type=refresh_token&refresh_token={phone.refresh_token}"
    response = phone.client.post(f"/users/token?{query}", content_type="application/json")
    assert error_of(response) == (HTTPStatus.BAD_REQUEST, "invalid_request")
    assert DeviceSession.objects.get().generation == 0
