"""Introspection (RFC 7662): a service learns whether an access token is live, and nothing more."""

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import OperationalError, connection

from authx.contrib.introspection.models import Service
from authx.models import DeviceSession
from tests.conftest import NOON, Clock, Statements
from tests.failing_database import fail_every_statement
from tests.guessing import altered
from tests.phone import CLIENT, Phone, error_of
from tests.services import FORM, basic, introspect, new_service, post_introspection

INACTIVE = {"active": False}


@pytest.fixture
def service(db: None) -> Service:
    return new_service()


def test_a_live_access_token_is_described_with_its_user_and_session(
    clock: Clock, phone: Phone, service: Service, alice: User
) -> None:
    assert introspect(service, phone.access_token) == {
        "active": True,
        "sub": str(alice.pk),
        "username": "alice",
        "token_type": "Bearer",
        "iat": int(NOON.timestamp()),
        "exp": int(NOON.timestamp()) + 15 * 60,
        "auth_time": int(NOON.timestamp()),
        "device_id": phone.session_id,
    }


def expired(phone: Phone, clock: Clock) -> str:
    clock.forward(minutes=15)
    return phone.access_token


def rotated(phone: Phone, clock: Clock) -> str:
    old = phone.access_token
    phone.refresh()
    clock.forward(seconds=10)
    return old


def rotated_twice(phone: Phone, clock: Clock) -> str:
    old = phone.access_token
    phone.refresh().refresh()
    clock.forward(seconds=10)
    return old


def of_a_restored_backup(phone: Phone, clock: Clock) -> str:
    backup: dict[str, Any] = {**DeviceSession.objects.values().get()}
    del backup["sweep_on"]
    phone.refresh()
    DeviceSession.objects.update(**backup)
    return phone.access_token


def of_a_revoked_session(phone: Phone, clock: Clock) -> str:
    phone.send("POST", "logout")
    return phone.access_token


def of_an_inactive_person(phone: Phone, clock: Clock) -> str:
    User.objects.update(is_active=False)
    return phone.access_token


def of_another_password(phone: Phone, clock: Clock) -> str:
    User.objects.update(password="changed")
    return phone.access_token


def swept(phone: Phone, clock: Clock) -> str:
    DeviceSession.objects.all().delete()
    return phone.access_token


def forged(phone: Phone, clock: Clock) -> str:
    return altered(phone.access_token)


def refresh_token(phone: Phone, clock: Clock) -> str:
    return phone.refresh_token


def consumed_refresh_token(phone: Phone, clock: Clock) -> str:
    old = phone.refresh_token
    phone.refresh().refresh()
    return old


def of_another_server(phone: Phone, clock: Clock) -> str:
    return "eyJhbGciOiJSUzI1NiJ9." + "x" * 5000


def garbage(phone: Phone, clock: Clock) -> str:
    return "\u2603 \x01"


@pytest.mark.parametrize(
    "token_of",
    [
        *(expired, rotated, rotated_twice, of_a_restored_backup),
        *(of_a_revoked_session, of_an_inactive_person, of_another_password, swept, forged),
        *(refresh_token, consumed_refresh_token, of_another_server, garbage),
    ],
)
def test_any_other_token_is_inactive_and_nothing_else(
    clock: Clock, phone: Phone, service: Service, token_of: Callable[[Phone, Clock], str]
) -> None:
    token = token_of(phone, clock)
    before = list(DeviceSession.objects.values())
    for hint in ("", "access_token", "refresh_token", "made_up"):
        assert introspect(service, token, token_type_hint=hint) == INACTIVE
    assert before == list(DeviceSession.objects.values())


@pytest.mark.parametrize("spoil", [" {}", "{}\n", "{}" + "x" * 8000])
def test_what_is_only_almost_a_token_is_inactive(
    phone: Phone, service: Service, spoil: str
) -> None:
    answer = CLIENT.post(
        "/users/introspect",
        {"token": spoil.format(phone.access_token)},
        content_type="application/json",
        headers={"authorization": basic(service.pk, service.raw_secret)},
    )
    assert (answer.status_code, answer.json()) == (200, INACTIVE)


def test_asking_confirms_a_pair_as_any_use_does(
    clock: Clock, phone: Phone, service: Service
) -> None:
    old = phone.refresh_token
    assert introspect(service, phone.refresh().access_token)["active"]
    clock.forward(seconds=10)
    assert error_of(phone.try_refresh(old)) == (400, "invalid_grant")
    assert not phone.is_signed_in


def test_of_the_access_tokens_of_one_generation_only_the_last_is_live(
    clock: Clock, phone: Phone, service: Service
) -> None:
    first, issued = phone.refresh_token, []
    for _ in range(4):
        issued.append(phone.try_refresh(first).json()["access_token"])
        clock.forward(minutes=15)
    issued.append(phone.try_refresh(first).json()["access_token"])
    assert len(set(issued)) == 5
    live = [introspect(service, token)["active"] for token in issued]
    assert live == [False, False, False, False, True]


def test_a_refresh_token_whose_successor_a_service_asked_about_is_not_answered_again(
    clock: Clock, phone: Phone, service: Service
) -> None:
    first = phone.refresh_token
    lost = phone.try_refresh(first).json()["access_token"]
    assert introspect(service, lost)["active"]
    clock.forward(minutes=15)
    assert error_of(phone.try_refresh(first)) == (400, "invalid_grant")
    assert introspect(service, lost) == INACTIVE


def test_asking_does_not_renew(
    clock: Clock, phone: Phone, service: Service, statements: Callable[[], Statements]
) -> None:
    phone.refresh()
    introspect(service, phone.access_token)
    clock.forward(seconds=61)
    Service.objects.update(last_used_at=NOON + timedelta(seconds=61))
    with statements() as seen:
        assert introspect(service, phone.access_token)["exp"] == int(NOON.timestamp()) + 15 * 60
    assert (len(seen), seen.writes) == (2, [])


def test_a_consumed_refresh_token_that_a_service_asks_about_is_no_theft(
    phone: Phone, service: Service
) -> None:
    old = phone.refresh_token
    phone.refresh().refresh()
    assert introspect(service, old) == INACTIVE
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


def test_a_superseded_access_token_is_active_within_the_grace_period(
    clock: Clock, phone: Phone, service: Service
) -> None:
    old = phone.access_token
    phone.refresh()
    clock.forward(seconds=9)
    assert introspect(service, old)["exp"] == int(NOON.timestamp()) + 10
    clock.forward(seconds=1)
    assert introspect(service, old) == INACTIVE


@pytest.mark.parametrize("path", ["/users/introspect", "/users/introspect/"])
def test_json_is_read_too(phone: Phone, service: Service, path: str) -> None:
    headers = {"authorization": basic(service.pk, service.raw_secret)}
    body = {"token": phone.access_token}
    answer = CLIENT.post(path, body, content_type="application/json", headers=headers)
    assert answer.json()["active"]


@pytest.mark.parametrize(
    ("body", "field"),
    [("", "token"), ("token=", "token"), ("token=a&token=b", "token"), ("other=a", "token")],
)
def test_a_missing_or_repeated_token_is_named(service: Service, body: str, field: str) -> None:
    headers = {"authorization": basic(service.pk, service.raw_secret)}
    answer = CLIENT.post("/users/introspect", body, content_type=FORM, headers=headers)
    assert error_of(answer) == (400, "invalid_request")
    assert set(answer.json()["fields"]) == {field}


def test_only_post_asks(phone: Phone, service: Service) -> None:
    headers = {"authorization": basic(service.pk, service.raw_secret)}
    path = f"/users/introspect?token={phone.access_token}"
    assert error_of(CLIENT.get(path, headers=headers)) == (405, "method_not_allowed")
    answer = CLIENT.post(path, content_type=FORM, headers=headers)
    assert error_of(answer) == (400, "invalid_request")


def test_a_database_outage_makes_no_token_inactive(phone: Phone, service: Service) -> None:
    with connection.execute_wrapper(fail_every_statement(OperationalError())):
        answer = post_introspection(phone.access_token, basic(service.pk, service.raw_secret))
    assert error_of(answer) == (503, "temporarily_unavailable")


def test_a_service_is_limited_for_itself(
    clock: Clock, phone: Phone, service: Service, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SERVICE_RATES": ["1/minute"]}
    assert introspect(service, phone.access_token)["active"]
    answer = post_introspection(phone.access_token, basic(service.pk, service.raw_secret))
    assert error_of(answer) == (429, "rate_limited")
    assert introspect(new_service("another"), phone.access_token)["active"]


def test_guessed_credentials_are_limited_by_address_and_no_genuine_one_is(
    clock: Clock, phone: Phone, service: Service, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"FORGED_TOKEN_RATES": ["2/minute"]}
    guesses = [
        post_introspection("x", basic(service.pk, "axs_guess")).status_code for _ in range(3)
    ]
    assert guesses == [401, 401, 429]
    assert introspect(service, phone.access_token)["active"]
