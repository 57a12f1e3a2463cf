"""A thief who copied the idempotency key too, and one who hides: what shows of them."""

from http import HTTPStatus
from typing import Any

import pytest

from authx.models import DeviceSession, Notification, SecurityEvent
from tests.conftest import Clock
from tests.phone import Phone, error_of
from tests.places import AWAY, HOME, refresh_from

pytestmark = pytest.mark.django_db

KEY = "the-key-of-the-app"


def rotated_by_a_thief(phone: Phone) -> Phone:
    """Return a thief who copied the store in the middle of a refresh, key included, and went on."""
    thief = Phone(pair=refresh_from(phone.refresh_token, KEY, **AWAY).json())
    thief.pair = refresh_from(thief.refresh_token, "the-key-of-the-thief", **AWAY).json()
    return thief


def late_duplicate(phone: Phone, **meta: str) -> Any:
    """Repeat a refresh as an app does that never got its answer: the same token and key."""
    return refresh_from(phone.refresh_token, KEY, **meta)


def test_an_attacker_with_the_key_too_does_not_lock_the_app_out(clock: Clock, phone: Phone) -> None:
    thief = rotated_by_a_thief(phone)
    clock.forward(hours=1)
    assert late_duplicate(phone, **HOME).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    # The thief goes on as well: that gives him no more time.
    for turn in range(3):
        clock.forward(minutes=3)
        key = f"another-key-of-the-thief-{turn}"
        thief.pair = refresh_from(thief.refresh_token, key, **AWAY).json()
        assert late_duplicate(phone, **HOME).status_code == HTTPStatus.SERVICE_UNAVAILABLE
    clock.forward(minutes=1)
    assert error_of(late_duplicate(phone, **HOME)) == (HTTPStatus.BAD_REQUEST, "invalid_grant")
    assert DeviceSession.objects.get().revoked_reason == "reuse_detected"
    assert not thief.is_signed_in


@pytest.mark.parametrize(("meta", "mails"), [(HOME, 1), (AWAY, 0)])
def test_a_late_duplicate_is_recorded_and_mailed_where_its_network_differs(
    clock: Clock, phone: Phone, meta: dict[str, str], mails: int
) -> None:
    rotated_by_a_thief(phone)
    clock.forward(hours=1)
    for _ in range(3):
        late_duplicate(phone, **meta)
    event = SecurityEvent.objects.get(kind="two_places")
    assert event.reason.endswith("late duplicate of generation 0")
    assert Notification.objects.filter(event=event).count() == mails


def test_an_attacker_with_the_user_agent_of_the_app_is_reported(clock: Clock, phone: Phone) -> None:
    """README: the user is told. Key and network differ; the user agent is the thief's to choose."""
    stolen = phone.refresh_token
    refresh_from(
        stolen, "the-key-of-the-thief", **AWAY | {"HTTP_USER_AGENT": HOME["HTTP_USER_AGENT"]}
    )
    clock.forward(seconds=5)
    refresh_from(stolen, KEY, **HOME)
    assert SecurityEvent.objects.filter(kind="two_places").exists()
    assert Notification.objects.filter(event__kind="two_places").exists()


def test_a_pair_does_not_reveal_that_the_app_has_just_used_it(clock: Clock, phone: Phone) -> None:
    thief, old = Phone(pair=phone.pair), phone.refresh_token
    phone.refresh()
    clock.forward(minutes=5)
    before = thief.try_refresh(old).json()["expires_in"]
    phone.call()
    clock.forward(seconds=5)
    after = thief.try_refresh(old).json()["expires_in"]
    assert after <= before
