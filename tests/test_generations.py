"""Several generations in grace at once: each with a grace period and a key of its own."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession, SecurityEvent
from tests.conftest import Clock
from tests.phone import Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.usefixtures("without_limits")]

REFUSED = (HTTPStatus.BAD_REQUEST, "invalid_grant")
LATER = (HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable")
LIMITED = (HTTPStatus.TOO_MANY_REQUESTS, "rate_limited")
KEYS = [f"key-of-rotation-{number:02}" for number in range(12)]
FIRST, SECOND, THIRD = ("key number one " * 4, "key number two " * 4, "key number three " * 4)

UseKeys = Callable[..., None]


@pytest.fixture
def use_keys(clock: Clock, settings: Any) -> UseKeys:
    """Return what sets the server's keys, the one in use first; the first is in use from now."""

    def use(secret_key: str, *fallbacks: str) -> None:
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = secret_key, list(fallbacks)

    use(FIRST)
    return use


@contextmanager
def undone() -> Iterator[None]:
    """Put the row back as it was, after a block."""
    before = row()
    del before["sweep_on"]
    yield
    DeviceSession.objects.update(**before)


def row() -> dict[str, Any]:
    return dict(DeviceSession.objects.values().get())


def refreshed(phone: Phone, times: int, **keyed: list[str]) -> list[str]:
    """Refresh so many times in a row, and return the refresh tokens, the first one included."""
    keys = keyed.get("keys", [""] * times)
    tokens = [phone.refresh_token]
    tokens += [phone.refresh(key=key).refresh_token for key in keys[:times]]
    return tokens


def assert_reuse(phone: Phone, refresh_token: str, key: str = "") -> None:
    assert error_of(phone.try_refresh(refresh_token, key=key)) == REFUSED
    assert row()["revoked_reason"] == "reuse_detected"


def assert_refused_without_alarm(phone: Phone, refresh_token: str) -> None:
    before = row()
    assert error_of(phone.try_refresh(refresh_token)) == REFUSED
    assert row() == before
    assert not SecurityEvent.objects.filter(kind="reuse_detected").exists()


def test_twenty_refreshes_at_once_bring_twenty_refresh_tokens(clock: Clock, phone: Phone) -> None:
    assert len(set(refreshed(phone, 20))) == 21
    assert phone.is_signed_in


def test_each_of_twenty_generations_brings_the_newest_pair_within_the_grace_period(
    clock: Clock, phone: Phone
) -> None:
    tokens = refreshed(phone, 20)
    assert [phone.try_refresh(token).json() for token in tokens[:-1]] == [phone.pair] * 20
    clock.forward(seconds=10, microseconds=-1)
    again = [phone.try_refresh(token).json() for token in tokens[:-1]]
    assert {pair["refresh_token"] for pair in again} == {phone.refresh_token}
    assert {pair["access_token"] for pair in again} == {phone.access_token}
    assert row()["generation"] == 20


def test_each_of_them_but_the_last_is_reuse_after_it(clock: Clock, phone: Phone) -> None:
    *superseded, last, newest = refreshed(phone, 20)
    clock.forward(seconds=10)
    for token in superseded:
        with undone():
            assert_reuse(phone, token)
    # Nobody has used what this one brought.
    assert phone.try_refresh(last).json()["refresh_token"] == newest


def test_each_generation_has_a_grace_period_of_its_own(clock: Clock, phone: Phone) -> None:
    tokens = [phone.refresh_token]
    for _ in range(4):
        tokens.append(phone.refresh().refresh_token)
        clock.forward(seconds=3)
    # Rotated at 0, 3, 6 and 9; the successor of the first was confirmed at 3, its grace ends at 13.
    clock.forward(microseconds=999_999)
    assert phone.try_refresh(tokens[0]).json()["refresh_token"] == tokens[-1]
    clock.forward(microseconds=1)
    with undone():
        assert_reuse(phone, tokens[0])
    assert phone.try_refresh(tokens[1]).json()["refresh_token"] == tokens[-1]
    clock.forward(seconds=3)
    with undone():
        assert_reuse(phone, tokens[1])
    assert phone.try_refresh(tokens[2]).json()["refresh_token"] == tokens[-1]


def test_a_use_long_before_the_rotation_ends_the_grace_period_early(
    clock: Clock, phone: Phone
) -> None:
    oldest = phone.refresh_token
    assert phone.refresh().is_signed_in
    clock.forward(seconds=10)
    phone.refresh()
    assert_reuse(phone, oldest)


def test_a_pair_that_lay_unused_has_its_grace_period_from_when_it_is_refreshed(
    clock: Clock, phone: Phone
) -> None:
    oldest = phone.refresh_token
    phone.refresh()
    # Its access token has expired by then; its refresh token is what was first used of it.
    clock.forward(minutes=20)
    phone.refresh()
    clock.forward(seconds=10, microseconds=-1)
    assert phone.try_refresh(oldest).json()["refresh_token"] == phone.refresh_token
    clock.forward(microseconds=1)
    assert_reuse(phone, oldest)


def test_old_access_tokens_are_cut_off_one_by_one(clock: Clock, phone: Phone) -> None:
    apps = [Phone(pair=phone.pair)]
    for _ in range(3):
        clock.forward(seconds=2)
        phone.refresh()
        apps.append(Phone(pair=phone.pair))
    before = row()
    # Rotated at 2, 4 and 6.
    clock.forward(seconds=6, microseconds=-1)
    assert [app.is_signed_in for app in apps[:-1]] == [True, True, True]
    assert row() == before
    clock.forward(microseconds=1)
    assert [app.is_signed_in for app in apps[:-1]] == [False, True, True]
    clock.forward(seconds=2)
    assert [app.is_signed_in for app in apps[:-1]] == [False, False, True]
    clock.forward(seconds=2)
    assert [app.is_signed_in for app in apps[:-1]] == [False, False, False]
    assert row() == before
    assert apps[-1].is_signed_in


def test_revoking_an_old_access_token_ends_no_session(clock: Clock, phone: Phone) -> None:
    # RFC 7009 takes an access token too; but old ones lie about in logs.
    old = phone.access_token
    phone.refresh()
    clock.forward(seconds=10)
    assert phone.send("POST", "revoke", {"token": old}).status_code == HTTPStatus.OK
    assert phone.is_signed_in


def test_an_old_access_token_does_not_outlive_its_own_expiry(clock: Clock, phone: Phone) -> None:
    late_phone = Phone(pair=phone.pair)
    clock.forward(minutes=15, seconds=-5)
    phone.refresh()
    clock.forward(seconds=5, microseconds=-1)
    assert late_phone.is_signed_in
    clock.forward(microseconds=1)
    assert not late_phone.is_signed_in


@pytest.mark.parametrize("went_on", [1, 2, 3])
def test_a_frozen_request_that_arrives_an_hour_late_is_known_by_its_key(
    clock: Clock, phone: Phone, went_on: int
) -> None:
    frozen = phone.refresh_token
    refreshed(phone, went_on, keys=KEYS)
    assert phone.is_signed_in
    clock.forward(hours=1)
    before = row()
    answer = phone.try_refresh(frozen, key=KEYS[0])
    if went_on == 1:
        assert answer.json()["refresh_token"] == phone.refresh_token
    else:
        assert error_of(answer) == LATER
        assert int(answer.headers["Retry-After"]) > 0
        assert row() == before
    assert phone.refresh(key=KEYS[9]).is_signed_in


@pytest.mark.parametrize("sent", ["", KEYS[1], KEYS[11]])
@pytest.mark.parametrize("went_on", [1, 2])
def test_without_its_key_a_frozen_request_is_reuse(
    clock: Clock, phone: Phone, went_on: int, sent: str
) -> None:
    frozen = phone.refresh_token
    refreshed(phone, went_on, keys=KEYS)
    assert phone.is_signed_in
    clock.forward(hours=1)
    assert_reuse(phone, frozen, sent)


def test_with_keys_a_lost_answer_is_not_for_who_has_no_key(clock: Clock, phone: Phone) -> None:
    # Not even while the pair is unused: only within the grace period of the rotation.
    lost = phone.try_refresh(key=KEYS[0]).json()
    clock.forward(seconds=10, microseconds=-1)
    assert phone.try_refresh().json()["refresh_token"] == lost["refresh_token"]
    clock.forward(microseconds=1)
    with undone():
        assert_reuse(phone, phone.refresh_token)
    assert phone.try_refresh(key=KEYS[0]).json()["refresh_token"] == lost["refresh_token"]


def test_the_keys_of_the_last_eight_rotations_are_remembered(clock: Clock, phone: Phone) -> None:
    tokens = refreshed(phone, 9, keys=KEYS)
    clock.forward(seconds=10)
    for number in range(1, 8):
        assert error_of(phone.try_refresh(tokens[number], key=KEYS[number])) == LATER
    assert_reuse(phone, tokens[0], KEYS[0])


def test_a_rotation_without_a_key_counts_among_the_eight(clock: Clock, phone: Phone) -> None:
    tokens = refreshed(phone, 8, keys=[KEYS[0], *[""] * 7])
    clock.forward(seconds=10)
    assert error_of(phone.try_refresh(tokens[0], key=KEYS[0])) == LATER
    phone.refresh()
    assert_reuse(phone, tokens[0], KEYS[0])


def test_a_remembered_key_of_another_generation_proves_nothing(clock: Clock, phone: Phone) -> None:
    tokens = refreshed(phone, 3, keys=KEYS)
    clock.forward(seconds=10)
    for key in KEYS[1:3]:
        with undone():
            assert_reuse(phone, tokens[0], key)
    assert error_of(phone.try_refresh(tokens[0], key=KEYS[0])) == LATER


def test_an_app_with_a_constant_key_proves_with_it_what_it_sent_it_with(
    clock: Clock, phone: Phone
) -> None:
    constant = "the same key for ever".replace(" ", "-")
    tokens = refreshed(phone, 3, keys=["", constant, constant])
    clock.forward(seconds=10)
    assert error_of(phone.try_refresh(tokens[1], key=constant)) == LATER
    assert phone.try_refresh(tokens[2], key=constant).json()["refresh_token"] == tokens[3]
    assert_reuse(phone, tokens[0], constant)


def test_a_key_of_one_session_proves_nothing_for_another(
    clock: Clock, phone: Phone, tablet: Phone
) -> None:
    tokens = refreshed(phone, 2, keys=KEYS)
    others = refreshed(tablet, 2, keys=KEYS[2:])
    clock.forward(seconds=10)
    assert error_of(phone.try_refresh(tokens[0], key=KEYS[2])) == REFUSED
    assert tablet.is_signed_in
    assert error_of(tablet.try_refresh(others[0], key=KEYS[2])) == LATER


def sent_by(
    phone: Phone, *, header: str | None = None, field: Any = None, form: bool = False
) -> Any:
    body = {"grant_type": "refresh_token", "refresh_token": phone.refresh_token}
    body |= {} if field is None else {"idempotency_key": field}
    options: dict[str, Any] = {} if header is None else {"headers": {"idempotency-key": header}}
    if form:
        options["data"] = "&".join(f"{name}={value}" for name, value in body.items())
        content_type = "application/x-www-form-urlencoded"
        return phone.client.post("/users/token", content_type=content_type, **options)
    return phone.client.post("/users/token", body, content_type="application/json", **options)


WAYS: list[dict[str, Any]] = [
    {"header": KEYS[0]},
    {"header": f'"{KEYS[0]}"'},
    {"field": KEYS[0]},
    {"field": f'"{KEYS[0]}"'},
    {"field": KEYS[0], "form": True},
    {"header": f'"{KEYS[0]}"', "field": KEYS[0]},
    {"header": KEYS[0], "field": KEYS[0], "form": True},
]


@pytest.mark.parametrize("first", WAYS)
def test_a_key_is_the_same_however_it_is_sent(
    clock: Clock, phone: Phone, first: dict[str, Any]
) -> None:
    answer = sent_by(phone, **first).json()
    assert Phone(pair=answer).is_signed_in
    clock.forward(seconds=10)
    again = [sent_by(phone, **way).json()["refresh_token"] for way in WAYS]
    assert again == [answer["refresh_token"]] * len(WAYS)


@pytest.mark.parametrize("form", [False, True])
def test_two_keys_in_one_request_are_refused(clock: Clock, phone: Phone, form: bool) -> None:
    before = row()
    refused = sent_by(phone, header=KEYS[0], field=KEYS[1], form=form)
    assert error_of(refused) == (HTTPStatus.BAD_REQUEST, "invalid_request")
    assert list(refused.json()["fields"]) == ["idempotency_key"]
    assert row() == before


@pytest.mark.parametrize(
    "key", ["k" * 16, "k" * 128, f'"{"k" * 128}"', "!#$%&'()*+,-./:;<=>?@[]^_`{|}~"]
)
def test_keys_of_16_to_128_visible_characters_are_taken(phone: Phone, key: str) -> None:
    assert sent_by(phone, header=key).status_code == HTTPStatus.OK


BAD_KEYS: list[Any] = ["", '""', "k" * 15, f'"{"k" * 15}"', "k" * 129, "k" * 16 + " k" * 16]
BAD_KEYS += ["schlüsselschlüssel", "k" * 16 + "\x7f", "k" * 16 + "\t", '"' + "k" * 16]


@pytest.mark.parametrize("key", BAD_KEYS)
@pytest.mark.parametrize("way", ["header", "field"])
def test_other_keys_are_refused_by_name_and_consume_nothing(
    clock: Clock, phone: Phone, way: str, key: str
) -> None:
    before = row()
    sent: dict[str, Any] = {way: key}
    refused = sent_by(phone, **sent)
    assert error_of(refused) == (HTTPStatus.BAD_REQUEST, "invalid_request")
    assert list(refused.json()["fields"]) == ["idempotency_key"]
    assert row() == before
    assert phone.refresh().is_signed_in


@pytest.mark.parametrize("key", [None, 1234567890123456, True, ["k" * 16], {"k": "k" * 16}])
def test_a_key_that_is_no_text_is_refused_by_name(phone: Phone, key: Any) -> None:
    body = {"grant_type": "refresh_token", "refresh_token": phone.refresh_token}
    body |= {"idempotency_key": key}
    refused = phone.client.post("/users/token", body, content_type="application/json")
    assert error_of(refused) == (HTTPStatus.BAD_REQUEST, "invalid_request")
    assert list(refused.json()["fields"]) == ["idempotency_key"]


def test_the_row_keeps_nothing_of_a_key_that_is_readable(phone: Phone) -> None:
    phone.refresh(key=KEYS[0])
    assert KEYS[0].encode() not in b"".join(
        bytes(value) for value in row().values() if isinstance(value, bytes | memoryview)
    )


@pytest.mark.usefixtures("no_grace_period")
def test_without_a_grace_period_a_lost_answer_still_comes_again_until_it_is_used(
    clock: Clock, phone: Phone
) -> None:
    old = Phone(pair=phone.pair)
    lost = phone.try_refresh().json()
    assert not old.is_signed_in
    assert phone.try_refresh().json() == lost
    assert phone.refresh().is_signed_in
    assert_reuse(phone, old.refresh_token)


@pytest.mark.usefixtures("no_grace_period")
def test_without_a_grace_period_a_superseded_generation_is_reuse_at_once(
    clock: Clock, phone: Phone
) -> None:
    tokens = refreshed(phone, 2, keys=KEYS)
    assert error_of(phone.try_refresh(tokens[0], key=KEYS[0])) == LATER
    assert phone.try_refresh(tokens[1], key=KEYS[1]).json() == phone.pair
    assert_reuse(phone, tokens[1])


def test_a_pair_gets_eight_fresh_access_tokens_and_then_leads_on_with_its_refresh_token(
    clock: Clock, phone: Phone
) -> None:
    seen = [phone.try_refresh().json()["access_token"]]
    for _ in range(8):
        clock.forward(minutes=15)
        answers = [phone.try_refresh().json() for _ in range(2)]
        assert answers[0] == answers[1]
        assert answers[0]["expires_in"] == 15 * 60
        assert Phone(pair={"access_token": seen[-1]}).call().status_code == 401
        seen.append(answers[0]["access_token"])
    assert len(set(seen)) == 9
    clock.forward(minutes=15)
    before = row()
    phone.refresh()
    assert phone.pair["expires_in"] == 0
    assert phone.access_token == seen[-1]
    assert row() == before
    assert not phone.is_signed_in
    assert phone.refresh().is_signed_in
    assert phone.pair["expires_in"] == 15 * 60


def test_each_generation_gets_fresh_access_tokens_of_its_own(clock: Clock, phone: Phone) -> None:
    for _ in range(2):
        lost = phone.try_refresh().json()["access_token"]
        clock.forward(minutes=15)
        assert phone.refresh().access_token != lost
        assert row()["fresh_access_count"] == 1
    phone.refresh()
    assert row()["fresh_access_count"] == 0


def test_beyond_128_generations_in_grace_a_rotation_waits_and_changes_nothing(
    clock: Clock, phone: Phone
) -> None:
    tokens = refreshed(phone, 128)
    before = row()
    answer = phone.try_refresh()
    assert error_of(answer) == LIMITED
    assert int(answer.headers["Retry-After"]) >= 10
    assert row() == before
    # All of them are still answered.
    assert phone.try_refresh(tokens[0]).json() == phone.pair
    clock.forward(seconds=int(answer.headers["Retry-After"]))
    assert phone.refresh().is_signed_in
    assert row()["revoked_at"] is None


def test_generations_in_grace_may_be_of_different_keys_of_the_server(
    alice: User, use_keys: UseKeys
) -> None:
    phone = Phone().sign_in()
    tokens = refreshed(phone, 2)
    use_keys(SECOND, FIRST)
    tokens += refreshed(phone, 2)[1:]
    use_keys(THIRD, SECOND, FIRST)
    tokens += refreshed(phone, 2)[1:]
    assert [phone.try_refresh(token).json() for token in tokens[:-1]] == [phone.pair] * 6
    use_keys(THIRD, FIRST, SECOND)
    assert [phone.try_refresh(token).json() for token in tokens[:-1]] == [phone.pair] * 6
    assert phone.is_signed_in


def test_old_access_tokens_outlive_a_rotation_of_the_key(alice: User, use_keys: UseKeys) -> None:
    phone = Phone().sign_in()
    late_phone = Phone(pair=phone.pair)
    use_keys(SECOND, FIRST)
    phone.refresh().refresh()
    assert late_phone.is_signed_in


@pytest.mark.parametrize("went_on", [1, 2])
def test_an_idempotency_key_is_known_across_a_rotation_of_the_key(
    alice: User, clock: Clock, use_keys: UseKeys, went_on: int
) -> None:
    phone = Phone().sign_in()
    frozen = phone.refresh_token
    phone.refresh(key=KEYS[0])
    use_keys(SECOND, FIRST)
    refreshed(phone, went_on - 1)
    assert phone.is_signed_in
    clock.forward(hours=1)
    answer = phone.try_refresh(frozen, key=KEYS[0])
    assert answer.status_code == (200 if went_on == 1 else 503)


def test_a_key_of_the_server_that_is_gone_is_no_alarm(alice: User, use_keys: UseKeys) -> None:
    phone = Phone().sign_in()
    old = phone.refresh_token
    use_keys(SECOND, FIRST)
    phone.refresh()
    use_keys(SECOND)
    assert_refused_without_alarm(phone, old)
    assert phone.refresh().is_signed_in


def test_a_chain_with_a_link_whose_key_is_gone_is_no_alarm(alice: User, use_keys: UseKeys) -> None:
    phone = Phone().sign_in()
    old = phone.refresh_token
    use_keys(SECOND, FIRST)
    phone.refresh()
    use_keys(FIRST, SECOND)
    phone.refresh()
    assert phone.try_refresh(old).json() == phone.pair
    use_keys(FIRST)
    assert_refused_without_alarm(phone, old)
    assert phone.refresh().is_signed_in


def test_a_shorter_grace_period_holds_for_generations_in_grace(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    late_phone = Phone(pair=phone.pair)
    oldest = phone.refresh_token
    phone.refresh().refresh()
    clock.forward(seconds=5)
    assert late_phone.is_signed_in
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=5)}
    assert not late_phone.is_signed_in
    assert_reuse(phone, oldest)


def test_a_token_of_a_future_that_a_restored_database_lost_is_no_alarm(
    clock: Clock, phone: Phone
) -> None:
    with undone():
        lost = refreshed(phone, 3, keys=KEYS)
    for token in lost[1:]:
        assert_refused_without_alarm(phone, token)
    # The app that had lost the answers goes on, into another future.
    phone.pair |= {"refresh_token": lost[0]}
    phone.refresh()
    assert phone.refresh_token != lost[1]
    assert_refused_without_alarm(phone, lost[1])
    assert_refused_without_alarm(phone, lost[2])
    assert phone.is_signed_in


def test_a_row_remembers_nothing_that_no_longer_matters(clock: Clock, phone: Phone) -> None:
    refreshed(phone, 20)
    clock.forward(seconds=10)
    phone.refresh()
    # What the newest superseded: the one generation whose access token is still on its way.
    size = len(row()["recent"])
    clock.forward(minutes=15)
    phone.refresh()
    assert size < 200
    assert len(row()["recent"]) <= size


def test_a_session_that_never_sent_a_key_keeps_no_keys(phone: Phone) -> None:
    refreshed(phone, 3)
    assert bytes(row()["idempotency_digests"]) == b""
