"""The lost phone, from its theft to its end, in a real browser; and each page by axe-core."""

from collections.abc import Iterator
from http import HTTPStatus
from threading import Event, Thread
from time import monotonic
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection

from authx.audit.links import new_recovery_token, not_me_token
from authx.models import EventKind, SecurityEvent
from tests.account import NEW_PASSWORD, browser, link_in, mails, with_address
from tests.browsing import Page, needs_axe, needs_chromium, window
from tests.effort import chosen
from tests.guessing import WRONG
from tests.phone import PASSWORD, Phone
from tests.web_server import until

pytestmark = [
    pytest.mark.waits,
    pytest.mark.django_db(transaction=True),
    needs_chromium,
    pytest.mark.timeout(240),
]

# Width, dark, language.
LOOKS = chosen(
    [(360, False, "ar"), (1280, True, "en")],
    [
        (width, dark, language)
        for width in (360, 1280)
        for dark in (False, True)
        for language in ("en", "de", "ar")
    ],
)


@pytest.fixture
def alice(alice: User, live_server: Any, settings: Any) -> User:
    settings.AUTHX = settings.AUTHX | {"ACCOUNT_URL": f"{live_server.url}/account/"}
    return with_address(alice)


@pytest.fixture
def page(live_server: Any, alice: User) -> Iterator[Page]:
    with window(live_server.url) as page:
        yield page


class Thief:
    """Calls the API in a loop with what is on a phone; `answers` are beginnings and statuses."""

    def __init__(self, phone: Phone) -> None:
        self.phone = Phone(pair=phone.pair)
        self.answers: list[tuple[float, int]] = []
        self.is_over = Event()
        self.thread = Thread(target=self.call, daemon=True)

    def call(self) -> None:
        while not self.is_over.is_set():
            began = monotonic()
            self.answers.append((began, self.phone.call().status_code))
            # Below the rate limit of a session.
            self.is_over.wait(0.6)
        connection.close()

    def statuses_since(self, instant: float) -> list[int]:
        """Return how every request was answered that began after an instant, at least one."""
        until(lambda: self.answers[-1][0] > instant, seconds=10)
        return [status for began, status in list(self.answers) if began > instant]


@pytest.fixture
def stolen(alice: User) -> Phone:
    return Phone("alice", {"name": "Alice's phone", "installation_id": "phone"}).sign_in()


@pytest.fixture
def thief(stolen: Phone) -> Iterator[Thief]:
    thief = Thief(stolen)
    thief.thread.start()
    yield thief
    thief.is_over.set()
    thief.thread.join()


def test_the_owner_of_a_stolen_phone_ends_it_from_a_computer_of_the_library(
    page: Page, stolen: Phone, thief: Thief
) -> None:
    page.open("/account/sign-in/").press("Forgot your password, or lost your phone?")
    page.fill("username", "alice@example.com").press("Send the link")
    assert "we have sent a link" in page.text
    assert set(thief.statuses_since(0)) == {HTTPStatus.OK}
    page.open(link_in(mails()[-1]))
    page.fill("new_password", NEW_PASSWORD).press("Set the password")
    assert "Your new password is set" in page.text
    assert set(thief.statuses_since(monotonic())) == {HTTPStatus.UNAUTHORIZED}
    assert "Alice's phone" in page.text
    assert stolen.try_refresh().status_code == HTTPStatus.BAD_REQUEST
    assert page.complaints == []


def test_a_phone_that_is_still_signed_in_is_ended_in_the_list(
    page: Page, stolen: Phone, thief: Thief
) -> None:
    page.open("/account/").fill("username", "alice").fill("password", PASSWORD).press("Sign in")
    assert "Alice's phone" in page.text
    assert set(thief.statuses_since(0)) == {HTTPStatus.OK}
    page.press("End session")
    assert "The session has ended." in page.text
    assert set(thief.statuses_since(monotonic())) == {HTTPStatus.UNAUTHORIZED}
    assert stolen.try_refresh().status_code == HTTPStatus.BAD_REQUEST
    page.press("Sign out")
    assert "You are signed out" in page.text
    assert page.complaints == []


def test_the_link_of_a_mail_that_a_scanner_has_opened_first_still_asks(
    page: Page, stolen: Phone
) -> None:
    thief = Phone("alice", {"name": "Burner", "installation_id": "burner"}).sign_in()
    link = link_in(mails()[-1])
    assert browser().get(link).status_code == HTTPStatus.OK
    assert thief.is_signed_in
    page.open(link)
    assert "Burner" in page.text
    page.press("End this session")
    assert "The session has ended." in page.text
    assert thief.call().status_code == HTTPStatus.UNAUTHORIZED
    assert stolen.is_signed_in
    page.press("End every session")
    assert "Every session has ended" in page.text
    assert stolen.call().status_code == HTTPStatus.UNAUTHORIZED
    page.press("Set a new password")
    assert "Get back into your account" in page.text
    assert page.complaints == []


def test_the_token_of_a_link_stays_neither_in_the_history_nor_in_a_referrer(
    page: Page, alice: User
) -> None:
    page.open(f"/account/recover/password/?token={new_recovery_token(alice)}")
    assert "Set the password" in page.text
    assert "token" not in page.chrome.current_url
    page.chrome.refresh()
    assert page.chrome.current_url.endswith("/account/recover/")
    page.open("/account/recover/password/?token=x").press("Send a new link")
    assert page.chrome.execute_script("return document.referrer") == f"{page.base}/"
    page.chrome.back()
    assert "token" not in page.chrome.current_url


def test_a_form_that_was_filled_in_wrongly_says_where(page: Page, alice: User) -> None:
    page.open("/account/sign-in/").fill("username", "alice").fill("password", WRONG)
    page.press("Sign in")
    assert "The user name or the password is wrong." in page.text
    focused = "return document.activeElement.getAttribute('role')"
    assert page.chrome.execute_script(focused) == "alert"


def test_a_password_is_shown_on_demand(page: Page, alice: User) -> None:
    page.open("/account/sign-in/").fill("password", "visible")
    field = page.chrome.find_element("name", "password")
    assert field.get_attribute("type") == "password"
    page.chrome.find_element("css selector", ".shown button").click()
    assert field.get_attribute("type") == "text"


def states(alice: User) -> list[str]:
    """Return the path of each page in each state that a GET shows, signed in."""
    event = SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE)[0]
    return [
        *("", "?done=ended", "?done=recovered", "activity/", "password/", "recover/"),
        f"recover/password/?token={new_recovery_token(alice)}",
        "recover/password/?token=x",
        f"not-me/?token={not_me_token(event)}",
        "not-me/?token=x",
    ]


def width_of(page: Page) -> int:
    """Return how wide the page is; wider than the window, it would have to be scrolled sideways."""
    script = "return document.documentElement.scrollWidth"
    return int(page.chrome.execute_script(script))


@needs_axe
@pytest.mark.parametrize(("width", "dark", "language"), LOOKS)
def test_axe_finds_no_violation_on_any_page_in_any_state(
    page: Page, stolen: Phone, width: int, language: str, *, dark: bool
) -> None:
    Phone("alice", {"name": "Tablet", "platform": "ios"}).sign_in()
    Phone("alice", {"name": "x" * 100, "installation_id": "ended"}).sign_in().send("POST", "logout")
    page.look(width=width, dark=dark, language=language)
    found = {"sign-in/": page.open("/account/sign-in/?done=signed-out").violations()}
    page.fill("password", WRONG).chrome.find_element("css selector", ".card .wide").click()
    found["empty form"] = page.violations()
    page.open("/account/sign-in/").fill("username", "alice").fill("password", PASSWORD)
    page.chrome.find_element("css selector", ".card .wide").click()
    for path in states(User.objects.get(username="alice")):
        page.open(f"/account/{path}")
        # What is behind a summary is looked at too.
        script = "document.querySelectorAll('details').forEach((one) => { one.open = true; })"
        page.chrome.execute_script(script)
        found[path] = page.violations()
        assert width_of(page) <= width, path
    page.open("/account/password/").fill("current_password", WRONG).fill("new_password", "short")
    page.chrome.find_element("css selector", ".card .wide").click()
    found["wrong password"] = page.violations()
    assert {path: wrong for path, wrong in found.items() if wrong} == {}
    refused = "Failed to load resource: the server responded with a status of 400 (Bad Request)"
    assert [one for one in page.complaints if refused not in one] == []
