"""Operators read security events and cannot change them."""

from http import HTTPStatus
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.test import Client

from authx.models import SecurityEvent
from tests.phone import Phone

LIST = "/admin/authx/securityevent/"


def by_the_phone() -> SecurityEvent:
    """Return the sign-in of the phone; that of the operator's browser is there beside it."""
    return SecurityEvent.objects.exclude(platform="browser").get(kind="signed_in")


def page_of(event: SecurityEvent, action: str = "change") -> str:
    return f"{LIST}{event.pk}/{action}/"


def test_the_list_is_filtered_and_searched(operator: Client, alice: User, phone: Phone) -> None:
    event = by_the_phone()
    found = ["", f"?q={alice.pk}", f"?q={phone.session_id}", "?kind=signed_in", "?q=127.0.0.1"]
    for query in found:
        assert page_of(event) in operator.get(LIST + query).content.decode(), query
    for query in ("?kind=signed_out", f"?q={uuid4()}", "?q=alice", "?q=192.0.2.1"):
        response = operator.get(LIST + query)
        assert response.status_code == HTTPStatus.OK
        assert page_of(event) not in response.content.decode(), query


def test_an_event_is_shown_although_its_user_is_deleted(
    operator: Client, alice: User, phone: Phone
) -> None:
    alice_id = alice.pk
    alice.delete()
    event = by_the_phone()
    response = operator.get(page_of(event))
    assert response.status_code == HTTPStatus.OK
    assert str(alice_id) in response.content.decode()
    assert operator.get(LIST).status_code == HTTPStatus.OK


@pytest.mark.parametrize("action", ["change", "delete"])
def test_nothing_is_changed_or_deleted_by_hand(operator: Client, phone: Phone, action: str) -> None:
    event = by_the_phone()
    response = operator.post(page_of(event, action), {"post": "yes", "reason": "x"})
    assert response.status_code == HTTPStatus.FORBIDDEN
    chosen = {"action": "delete_selected", "_selected_action": event.pk, "post": "yes"}
    operator.post(LIST, chosen)
    assert by_the_phone().reason == ""


def test_nothing_is_added_by_hand(operator: Client) -> None:
    before = list(SecurityEvent.objects.values())
    assert operator.post(f"{LIST}add/", {"kind": "signed_in"}).status_code == HTTPStatus.FORBIDDEN
    assert list(SecurityEvent.objects.values()) == before


def test_a_user_with_events_can_be_deleted(operator: Client, alice: User, phone: Phone) -> None:
    response = operator.post(f"/admin/auth/user/{alice.pk}/delete/", {"post": "yes"})
    assert response.status_code == HTTPStatus.FOUND
    assert not User.objects.filter(pk=alice.pk).exists()
    assert SecurityEvent.objects.filter(former_user_id=str(alice.pk)).exists()
