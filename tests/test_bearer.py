"""An access token is accepted exactly as long as it should be; all else is refused alike."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from unittest import mock

import hypothesis
import pytest
from django.contrib.auth.models import User
from hypothesis import strategies

from authx.models import DeviceSession
from authx.sessions import use
from authx.sessions.state import access_expiry, rejection_reason
from authx.sessions.use import use_access_token
from tests.conftest import NOON, Clock, Statements
from tests.guessing import altered
from tests.phone import Phone, error_of

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

REFUSAL = b'{"error":"invalid_token","error_description":"The access token is not valid."}'
REFUSAL_CHALLENGE = 'Bearer realm="api", error="invalid_token"'
CHALLENGE = 'Bearer realm="api"'

fuzzed = hypothesis.settings(
    suppress_health_check=[hypothesis.HealthCheck.function_scoped_fixture],
)


def present(header: str) -> "ErrorResponse":
    return Phone().client.get("/users/me", HTTP_AUTHORIZATION=header)


def use_after_ten_minutes(phone: Phone, clock: Clock) -> Any:
    clock.forward(minutes=10)
    return phone.is_signed_in


def rows() -> list[Any]:
    return list(DeviceSession.objects.values())


@pytest.mark.parametrize("scheme", ["Bearer", "bearer", "BEARER", "bEaReR"])
def test_scheme_is_case_insensitive(phone: Phone, scheme: str) -> None:
    response = present(f"{scheme} {phone.access_token}")
    assert response.status_code == HTTPStatus.OK
    assert response.headers["Cache-Control"] == "no-store"


def test_without_credentials_the_challenge_names_the_realm_only(phone: Phone) -> None:
    response = phone.client.get("/users/me")
    assert error_of(response) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == CHALLENGE
    assert response.headers["Cache-Control"] == "no-store"


def test_a_token_in_the_address_is_not_read(phone: Phone) -> None:
    response = phone.client.get("/users/me", {"access_token": phone.access_token})
    assert error_of(response) == (401, "unauthorized")


def make_unknown(phone: Phone, clock: Clock) -> None:
    DeviceSession.objects.all().delete()


def make_expired(phone: Phone, clock: Clock) -> None:
    clock.forward(minutes=15)


def make_revoked(phone: Phone, clock: Clock) -> None:
    phone.send("POST", "logout")


def make_forged(phone: Phone, clock: Clock) -> None:
    phone.pair["access_token"] = altered(phone.access_token)


def make_rotated(phone: Phone, clock: Clock) -> None:
    phone.try_refresh()
    clock.forward(seconds=10)


def make_inactive(phone: Phone, clock: Clock) -> None:
    User.objects.update(is_active=False)


def make_password_changed(phone: Phone, clock: Clock) -> None:
    user = User.objects.get()
    user.set_password("another horse entirely")
    user.save()


def make_user_deleted(phone: Phone, clock: Clock) -> None:
    User.objects.all().delete()


@pytest.mark.parametrize(
    "spoil",
    [
        make_unknown,
        make_expired,
        make_revoked,
        make_forged,
        make_rotated,
        make_inactive,
        make_password_changed,
        make_user_deleted,
    ],
)
def test_whatever_is_wrong_the_refusal_is_the_same_and_writes_nothing(
    clock: Clock,
    phone: Phone,
    spoil: Callable[[Phone, Clock], None],
    statements: Callable[[], Statements],
) -> None:
    assert phone.is_signed_in
    spoil(phone, clock)
    with statements() as seen:
        response = phone.call()
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert response.content == REFUSAL
    assert response.headers["WWW-Authenticate"] == REFUSAL_CHALLENGE
    assert seen.writes == []


@pytest.mark.parametrize("header", ["", "Token x", "Basic Y2xpZW50Og==", "\xff", "\0", "Bearer,x"])
def test_a_header_of_no_known_scheme_counts_as_no_credentials(db: None, header: str) -> None:
    response = present(header)
    assert error_of(response) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == CHALLENGE


@pytest.mark.parametrize(
    "credentials",
    ["", " ", "x", "\xff", "\0", "x" * 100_000, "a b", "axa_", "axa_" + "\xff" * 96, "é=+/"],
    ids=["none", "blank", "x", "ff", "nul", "100 KB", "two", "prefix", "high", "other"],
)
def test_malformed_credentials_are_refused_without_a_query(
    phone: Phone, credentials: str, statements: Callable[[], Statements]
) -> None:
    with statements() as seen:
        response = present(f"Bearer {credentials}")
    assert error_of(response) == (401, "invalid_token")
    assert seen.sql == []


def test_two_tokens_are_refused(phone: Phone, tablet: Phone) -> None:
    response = present(f"Bearer {phone.access_token} {tablet.access_token}")
    assert error_of(response) == (401, "invalid_token")


@pytest.mark.usefixtures("without_limits")
@fuzzed
@hypothesis.given(strategies.binary(), strategies.sampled_from(["", "Bearer ", "Bearer axa_"]))
def test_no_bytes_in_the_header_make_it_fail(db: None, noise: bytes, start: str) -> None:
    response = present(start + noise.decode("latin-1"))
    assert response.status_code == HTTPStatus.UNAUTHORIZED
    assert error_of(response)[1] in {"unauthorized", "invalid_token"}


@pytest.mark.usefixtures("without_limits")
@fuzzed
@hypothesis.given(strategies.integers(0, 99), strategies.characters(codec="latin-1"))
def test_no_single_character_of_a_token_can_be_changed(
    phone: Phone, position: int, character: str
) -> None:
    token = phone.access_token
    hypothesis.assume(character != token[position])
    response = present(f"Bearer {token[:position]}{character}{token[position + 1 :]}")
    assert error_of(response) == (401, "invalid_token")


def test_a_refresh_token_is_no_access_token_and_is_not_consumed(phone: Phone) -> None:
    before = rows()
    assert error_of(present(f"Bearer {phone.refresh_token}")) == (401, "invalid_token")
    assert rows() == before
    assert phone.refresh().is_signed_in


def test_an_access_token_refreshes_nothing_and_ends_nothing(phone: Phone) -> None:
    before = rows()
    assert error_of(phone.try_refresh(phone.access_token)) == (400, "invalid_grant")
    assert rows() == before
    assert phone.refresh().is_signed_in


@pytest.mark.parametrize(("seconds", "signed_in"), [(899, True), (900, False), (901, False)])
def test_unused_it_dies_a_quarter_of_an_hour_after_issue(
    clock: Clock, phone: Phone, seconds: int, *, signed_in: bool
) -> None:
    clock.forward(seconds=seconds)
    assert phone.is_signed_in is signed_in


@pytest.mark.parametrize(("seconds", "signed_in"), [(3599, True), (3600, False), (3601, False)])
def test_used_every_ten_minutes_it_lives_an_hour_from_issue(
    clock: Clock, phone: Phone, seconds: int, *, signed_in: bool
) -> None:
    uses = [use_after_ten_minutes(phone, clock) for _ in range(5)]
    clock.forward(seconds=seconds - 3000)
    assert uses == [True] * 5
    assert phone.is_signed_in is signed_in


@pytest.mark.parametrize(("seconds", "writes"), [(0, 0), (59, 0), (60, 0), (61, 1)])
def test_renewal_is_written_at_most_once_a_minute(
    clock: Clock,
    phone: Phone,
    seconds: int,
    writes: int,
    statements: Callable[[], Statements],
) -> None:
    clock.forward(seconds=seconds)
    with statements() as seen:
        assert phone.is_signed_in
    assert len(seen.writes) == writes
    with statements() as again:
        assert phone.is_signed_in
    assert again.writes == []


def test_renewal_never_outlives_the_session(settings: Any, clock: Clock, alice: User) -> None:
    ttl = timedelta(minutes=20)
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_TTL": ttl, "SESSION_TTL": ttl}
    phone = Phone().sign_in()
    clock.forward(minutes=10)
    assert phone.is_signed_in
    assert DeviceSession.objects.get().expiry == NOON + ttl
    clock.forward(minutes=10)
    assert not phone.is_signed_in


def test_without_auto_refresh_no_use_prolongs_it(settings: Any, clock: Clock, phone: Phone) -> None:
    settings.REST_KNOX = settings.REST_KNOX | {"AUTO_REFRESH": False}
    promised = DeviceSession.objects.get().expiry
    clock.forward(seconds=899)
    assert phone.is_signed_in
    assert DeviceSession.objects.get().expiry == promised
    clock.forward(seconds=1)
    assert not phone.is_signed_in


def test_a_row_deleted_before_its_renewal_means_refused(clock: Clock, phone: Phone) -> None:
    def delete_meanwhile(**named: Any) -> Any:
        DeviceSession.objects.all().delete()
        return access_expiry(**named)

    clock.forward(minutes=10)
    with mock.patch.object(use, "access_expiry", delete_meanwhile):
        response = phone.call()
    assert error_of(response) == (401, "invalid_token")
    assert not DeviceSession.objects.exists()


def test_a_session_revoked_before_its_confirmation_means_refused(phone: Phone) -> None:
    def revoke_meanwhile(*read: Any) -> str:
        reason = rejection_reason(*read)
        DeviceSession.objects.update(revoked_at=NOON, revoked_reason="signed_out")
        return reason

    phone.refresh()
    with mock.patch.object(use, "rejection_reason", revoke_meanwhile):
        response = phone.call()
    assert error_of(response) == (401, "invalid_token")
    assert DeviceSession.objects.get().confirmed_at is None


@pytest.mark.parametrize("seconds", [0, 30, 60, 61, 600])
def test_the_expiry_that_a_view_sees_is_the_one_stored(
    clock: Clock, phone: Phone, seconds: int
) -> None:
    clock.forward(seconds=seconds)
    seen = use_access_token(raw_token=phone.access_token)
    assert seen.expiry == DeviceSession.objects.get().expiry
