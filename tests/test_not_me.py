"""The link "this wasn't me" in a mail ends a session, and only when its reader says so."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User

from authx.audit.links import not_me_token
from authx.models import DeviceSession, EventKind, SecurityEvent
from tests.account import (
    BASE,
    NEW_PASSWORD,
    browser,
    link_in,
    mails,
    text_of,
    token_in,
    with_address,
)
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(alice: User) -> User:
    return with_address(alice)


@pytest.fixture
def thief(alice: User, phone: Phone) -> Phone:
    """Somebody who knows the password of Alice, on a device of their own."""
    return Phone("alice", {"name": "Burner", "installation_id": "burner"}).sign_in()


@pytest.fixture
def link(thief: Phone) -> str:
    (message,) = mails()
    return link_in(message)


def test_the_mail_has_a_link_that_shows_what_it_is_about(link: str) -> None:
    page = browser().get(link)
    assert page.status_code == HTTPStatus.OK
    assert "Burner" in text_of(page)
    assert "127.0.0.1" in text_of(page)
    assert "End this session" in text_of(page)


def test_a_mail_scanner_that_opens_the_link_ends_nothing(
    link: str, thief: Phone, statements: Any
) -> None:
    with statements() as cost:
        for _ in range(3):
            browser().get(link)
            browser().head(link)
    assert cost.writes == []
    assert thief.is_signed_in


def test_the_form_ends_that_session_and_no_other(link: str, thief: Phone, phone: Phone) -> None:
    page = browser().post(f"{BASE}not-me/", {"token": token_in(link)})
    assert "The session has ended." in text_of(page)
    assert not thief.is_signed_in
    assert phone.is_signed_in
    ended = SecurityEvent.objects.get(kind=EventKind.ENDED_BY_USER)
    assert (ended.reason, ended.device_name) == ("not_me", "Burner")
    # Again, as a reader who is not sure would.
    assert "The session has ended." in text_of(browser().get(link))
    browser().post(f"{BASE}not-me/", {"token": token_in(link)})
    assert SecurityEvent.objects.filter(kind=EventKind.ENDED_BY_USER).count() == 1


def test_it_offers_to_end_everything_and_to_set_a_password(
    link: str, thief: Phone, phone: Phone
) -> None:
    token = token_in(link)
    page = browser().post(f"{BASE}not-me/", {"token": token})
    assert f"{BASE}recover/" in page.content.decode()
    page = browser().post(f"{BASE}not-me/", {"token": token, "everything": "yes"})
    assert "Every session has ended" in text_of(page)
    assert not phone.is_signed_in


def test_without_a_form_token_of_the_page_nothing_is_ended(link: str, thief: Phone) -> None:
    stranger = browser(enforce_csrf_checks=True)
    answer = stranger.post(f"{BASE}not-me/", {"token": token_in(link)})
    assert answer.status_code == HTTPStatus.FORBIDDEN
    assert thief.is_signed_in


@pytest.mark.parametrize("spoilt", ["", "x", "{}x"])
def test_another_token_ends_nothing(link: str, thief: Phone, spoilt: str) -> None:
    token = spoilt.format(token_in(link))
    assert browser().get(f"{BASE}not-me/?token={token}").status_code == HTTPStatus.BAD_REQUEST
    page = browser().post(f"{BASE}not-me/", {"token": token, "everything": "yes"})
    assert page.status_code == HTTPStatus.BAD_REQUEST
    assert thief.is_signed_in


def test_a_link_ends_after_a_month(clock: Clock, link: str) -> None:
    clock.forward(days=29)
    assert browser().get(link).status_code == HTTPStatus.OK
    clock.forward(days=2)
    assert browser().get(link).status_code == HTTPStatus.BAD_REQUEST


def test_a_session_that_was_swept_leaves_the_offers(link: str, thief: Phone) -> None:
    DeviceSession.objects.filter(pk=thief.session_id).delete()
    page = browser().post(f"{BASE}not-me/", {"token": token_in(link)})
    assert page.status_code == HTTPStatus.OK
    assert "Set a new password" in text_of(page)


def test_an_event_without_a_session_has_a_link_too(alice: User) -> None:
    alice.set_password("somewhere else entirely")
    alice.save()
    (message,) = mails()
    page = browser().get(link_in(message))
    assert "End every session" in text_of(page)
    assert "End this session" not in text_of(page)


def test_an_old_mail_shows_what_it_is_about_and_not_what_came_later(
    clock: Clock, alice: User
) -> None:
    for number in range(2):
        alice.set_password(f"somewhere else entirely {number}")
        alice.save()
        clock.forward(hours=1)
    early, late = mails()
    assert "12:00" in text_of(browser().get(link_in(early)))
    assert "13:00" in text_of(browser().get(link_in(late)))


def test_a_token_does_not_say_how_many_events_there_are(thief: Phone) -> None:
    event = SecurityEvent.objects.get(kind=EventKind.NEW_DEVICE)
    first = not_me_token(event).split(":")[0]
    event.pk += 1000
    assert not_me_token(event).split(":")[0] == first


def test_without_pages_a_mail_has_no_link(thief: Phone, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"ACCOUNT_URL": ""}
    (message,) = mails()
    assert "http" not in message.body


def test_a_sign_in_by_the_owner_is_no_reason_to_doubt(alice: User, phone: Phone) -> None:
    assert mails() == []
    assert phone.try_sign_in(PASSWORD).status_code == HTTPStatus.OK


def test_an_attacker_with_an_old_link_signs_nobody_out_after_a_new_password(
    alice: User, phone: Phone
) -> None:
    event = SecurityEvent.objects.filter(kind=EventKind.SIGNED_IN)[0]
    alice.set_password(NEW_PASSWORD)
    alice.save()
    again = Phone().sign_in(NEW_PASSWORD)
    browser().post(f"{BASE}not-me/", {"token": not_me_token(event), "everything": "yes"})
    assert again.is_signed_in
