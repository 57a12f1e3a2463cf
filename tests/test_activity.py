"""A user sees what happened to their account: newest first, page by page, and nobody else's."""

from base64 import b64encode
from collections.abc import Callable
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from authx.models import EventKind, SecurityEvent
from tests.conftest import Clock, Statements
from tests.phone import Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]


def happen(user: User, count: int) -> None:
    SecurityEvent.objects.bulk_create(
        SecurityEvent(kind=EventKind.SIGN_IN_FAILED, user=user, platform=str(number))
        for number in range(count)
    )


def seen(phone: Phone, address: str = "activity") -> dict[str, Any]:
    response = phone.send("GET", address.rpartition("/users/")[2])
    assert response.status_code == 200, response.content
    page: dict[str, Any] = response.json()
    return page


def test_events_are_listed_newest_first_with_what_a_user_recognizes(
    clock: Clock, phone: Phone
) -> None:
    clock.forward(minutes=1)
    stranger = Phone(device={"installation_id": "x", "name": "PC", "platform": "Linux"})
    stranger.try_sign_in("wrong password")
    clock.forward(minutes=1)
    stranger.sign_in()
    page = seen(phone)
    assert (page["next"], page["previous"]) == (None, None)
    assert [event["kind"] for event in page["results"]] == [
        *("new_device", "signed_in", "sign_in_failed", "signed_in")
    ]
    assert page["results"][0] == {
        "kind": "new_device",
        "created_at": "2026-01-05T12:02:00Z",
        "device_name": "PC",
        "platform": "Linux",
        "ip": "127.0.0.1",
        "user_agent": "",
        "current": False,
    }
    assert [event["current"] for event in page["results"]] == [False, False, False, True]


def test_a_user_sees_no_events_of_others(phone: Phone, bob: User) -> None:
    Phone("bob").sign_in()
    Phone("nobody").try_sign_in()
    assert [event["kind"] for event in seen(phone)["results"]] == ["signed_in"]


def test_pages_are_bounded_and_leave_nothing_out_whatever_comes_in_meanwhile(
    clock: Clock, alice: User, phone: Phone
) -> None:
    # Many share an instant, also across the ends of pages.
    for _ in range(6):
        clock.forward(seconds=1)
        happen(alice, 20)
    page = seen(phone)
    shown = [event["platform"] for event in page["results"]]
    sizes = [len(shown)]
    while page["next"]:
        clock.forward(seconds=1)
        happen(alice, 3)
        page = seen(phone, page["next"])
        shown += [event["platform"] for event in page["results"]]
        sizes.append(len(page["results"]))
    assert sizes == [50, 50, 21]
    assert shown == [str(number) for number in reversed(range(20))] * 6 + [""]


def test_the_page_before_is_found_again(clock: Clock, alice: User, phone: Phone) -> None:
    for _ in range(4):
        clock.forward(seconds=1)
        happen(alice, 20)
    first = seen(phone)
    second = seen(phone, first["next"])
    assert seen(phone, second["previous"])["results"] == first["results"]


def test_a_page_costs_one_statement_beside_the_token(
    alice: User, phone: Phone, statements: Callable[[], Statements]
) -> None:
    happen(alice, 120)
    following = seen(phone)["next"]
    for address in ("activity", following):
        with statements() as cost:
            seen(phone, address)
        assert (len(cost), cost.writes) == (2, [])


def cursor(text: str) -> str:
    return b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    "made_up",
    [
        "x",
        cursor("p=yesterday"),
        cursor("p=2026-01-05 12:00:00"),
        cursor("p=2026-13-05 12:00:00+00:00"),
        cursor("p=\0"),
        cursor("p=0001-01-01 00:00:00%2B23:59"),
        cursor("p=9999-12-31 23:59:59-23:59"),
        cursor("o=-1"),
        cursor("o=many"),
    ],
)
def test_an_invalid_cursor_is_refused_by_name(phone: Phone, made_up: str) -> None:
    refusal = phone.send("GET", "activity?" + urlencode({"cursor": made_up}))
    assert error_of(refusal) == (400, "invalid_request")
    assert set(refusal.json()["fields"]) == {"cursor"}


@pytest.mark.parametrize("odd", [cursor("p=0001-01-01 00:00:00Z"), "", "\0", "%%%"])
def test_a_cursor_that_says_nothing_harms_nothing(phone: Phone, odd: str) -> None:
    assert phone.send("GET", "activity?" + urlencode({"cursor": odd})).status_code == 200


def test_a_deleted_event_breaks_no_page(alice: User, phone: Phone) -> None:
    happen(alice, 60)
    following = seen(phone)["next"]
    rows = SecurityEvent.objects.filter(created_at__lte=timezone.now())
    rows._raw_delete(rows.db)
    assert seen(phone, following)["results"] == []


def test_without_a_token_there_is_nothing_to_see() -> None:
    assert error_of(Phone().send("GET", "activity")) == (401, "unauthorized")
