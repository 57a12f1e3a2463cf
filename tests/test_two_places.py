"""A pair that was handed out to two places is told of, and ends nothing by itself."""

from typing import Any

import pytest
from django.core import mail

from authx.models import DeviceSession, Notification, SecurityEvent
from tasks.alerts import send_notifications
from tests.conftest import Clock
from tests.phone import Phone
from tests.places import AWAY, HOME, refresh_from

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

KEY, OTHER_KEY = "a-key-of-the-app", "a-key-of-another"


def causes() -> list[str]:
    """Return the causes that were recorded, without the generation."""
    events = SecurityEvent.objects.filter(kind="two_places").order_by("pk")
    return [event.reason.partition(",")[0] for event in events]


@pytest.mark.parametrize(
    ("first", "second", "recorded"),
    [
        ((KEY, HOME), (KEY, HOME), []),
        (("", HOME), ("", HOME), []),
        ((KEY, HOME), (OTHER_KEY, HOME), ["another idempotency key"]),
        ((KEY, HOME), ("", HOME), ["another idempotency key"]),
        (("", HOME), (KEY, HOME), ["another idempotency key"]),
        ((KEY, HOME), (KEY, AWAY), ["another source"]),
        (("", HOME), ("", AWAY), ["another source"]),
        (("", HOME), (KEY, AWAY), ["another source"]),
        # The phone has moved to another network; the app was updated.
        (("", HOME), ("", HOME | {"REMOTE_ADDR": "198.51.100.7"}), []),
        (("", HOME), ("", HOME | {"HTTP_USER_AGENT": "App/2 (phone)"}), []),
        # Another address of the same household or phone.
        (
            ("", HOME | {"REMOTE_ADDR": "2001:db8::1"}),
            ("", AWAY | {"REMOTE_ADDR": "2001:db8::2:1"}),
            [],
        ),
    ],
    ids=str,
)
def test_a_retry_from_another_place_is_recorded_by_its_cause(
    phone: Phone, first: Any, second: Any, recorded: list[str]
) -> None:
    answers = [
        refresh_from(phone.refresh_token, key, **meta).json() for key, meta in (first, second)
    ]
    assert answers[0]["refresh_token"] == answers[1]["refresh_token"]
    assert causes() == recorded
    assert Notification.objects.filter(event__kind="two_places").count() == recorded.count(
        "another source"
    )
    phone.pair = answers[0]
    assert phone.refresh().is_signed_in


def test_without_an_address_no_other_network_is_recorded(phone: Phone) -> None:
    token = phone.refresh_token
    refresh_from(token, **HOME | {"REMOTE_ADDR": ""})
    refresh_from(token, **AWAY)
    assert causes() == []


def test_it_is_recorded_once_a_generation_and_cause_however_often_it_happens(
    clock: Clock, phone: Phone
) -> None:
    for generation in range(2):
        token = phone.refresh_token
        phone.pair = refresh_from(token, KEY, **HOME).json()
        for _ in range(3):
            refresh_from(token, OTHER_KEY, **HOME)
            refresh_from(token, KEY, **AWAY)
        assert len(causes()) == 2 * (generation + 1)
        clock.forward(minutes=10)


def test_the_mail_says_what_happened_and_how_to_end_it(phone: Phone) -> None:
    phone_owner = DeviceSession.objects.get().user
    phone_owner.email = "alice@example.com"
    phone_owner.save()
    token = phone.refresh_token
    refresh_from(token, **HOME)
    refresh_from(token, **AWAY)
    send_notifications()
    (message,) = mail.outbox
    assert message.subject == "Your session on phone was renewed from two places"
    assert "end this device's session" in message.body
    assert "198.51.100.7" in message.body
    # Each fact once for those who read HTML.
    assert "two places" in str(message.message())


def test_the_user_sees_it_in_the_activity(phone: Phone) -> None:
    token = phone.refresh_token
    phone.pair = refresh_from(token, **HOME).json()
    refresh_from(token, **AWAY)
    newest = phone.send("GET", "activity").json()["results"][0]
    assert (newest["kind"], newest["ip"], newest["current"]) == (
        "two_places",
        AWAY["REMOTE_ADDR"],
        True,
    )


def test_a_pair_says_nothing_that_changes_while_its_device_is_used(
    clock: Clock, phone: Phone
) -> None:
    thief, old = Phone(pair=phone.pair), phone.refresh_token
    phone.refresh()
    seen = thief.try_refresh(old).json()
    clock.forward(seconds=70)
    phone.send("PATCH", f"devices/{phone.session_id}", {"name": "phone"})
    DeviceSession.objects.update(confirmed_at=None)
    again = thief.try_refresh(old).json()
    changing = {"expires_in", "refresh_token_expires_in", "session_expires_in"}
    assert {name: again[name] for name in again.keys() - changing} == {
        name: seen[name] for name in seen.keys() - changing
    }
