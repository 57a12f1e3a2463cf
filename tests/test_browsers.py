"""A browser that is signed in by a cookie is a device like any other, and ends with the others."""

from collections.abc import Callable
from typing import Any

import pytest
from django.contrib.auth import SESSION_KEY, get_user
from django.contrib.auth.models import User
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.test import Client, RequestFactory

from authx.models import DeviceSession, EventKind, Notification, SecurityEvent
from authx.sessions.browsers import browser_name
from authx.sessions.cookies import DEVICE_SESSION_KEY, SessionStore
from tests.browsers import FIREFOX, is_in, its_session, signed_in_browser
from tests.conftest import Clock, Statements
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "another horse, another battery"


@pytest.fixture
def alice(alice: User) -> User:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    return alice


@pytest.fixture
def browser(alice: User) -> Client:
    browser = signed_in_browser()
    assert is_in(browser)
    return browser


# --- It is a device


def test_a_browser_is_listed_among_the_devices(browser: Client, phone: Phone) -> None:
    listed = {device["platform"]: device for device in phone.send("GET", "devices").json()}
    assert listed["browser"]["name"] == "Firefox, Linux"
    assert listed["browser"]["current"] is False
    assert listed["browser"]["last_ip"] == "127.0.0.1"


def test_a_browser_that_is_new_to_the_account_sends_mail(alice: User, phone: Phone) -> None:
    assert not Notification.objects.exists()
    known = signed_in_browser()
    assert Notification.objects.get().event.kind == EventKind.NEW_DEVICE
    known.post("/admin/logout/")
    known.post("/admin/login/?next=/admin/", {"username": "alice", "password": PASSWORD})
    assert is_in(known)
    assert Notification.objects.count() == 1
    # The same program on another machine.
    signed_in_browser()
    assert Notification.objects.count() == 2


def test_the_cookie_of_a_known_browser_is_out_of_reach_of_scripts(browser: Client) -> None:
    cookie = browser.cookies["authx_device"]
    assert cookie["httponly"] is True
    assert cookie["samesite"] == "Lax"
    assert cookie["max-age"] == 400 * 24 * 60 * 60
    assert cookie.value.startswith("axd_")
    assert not SecurityEvent.objects.filter(device_id=None, kind=EventKind.SIGNED_IN).exists()


def test_guesses_from_elsewhere_keep_no_known_browser_out(browser: Client) -> None:
    browser.post("/admin/logout/")
    form = {"username": "alice", "password": "a guess"}
    stranger = Client(raise_request_exception=False)
    statuses = [stranger.post("/admin/login/", form).status_code for _ in range(6)]
    assert statuses[-1] == 429
    browser.post("/admin/login/?next=/admin/", form | {"password": PASSWORD})
    assert is_in(browser)


def test_the_first_sign_in_of_an_account_is_no_news_in_a_browser_either(browser: Client) -> None:
    assert SecurityEvent.objects.filter(kind=EventKind.SIGNED_IN).count() == 1
    assert not Notification.objects.exists()


def test_a_second_sign_in_of_one_browser_replaces_the_first(browser: Client) -> None:
    before = its_session()
    browser.post("/admin/login/?next=/admin/", {"username": "alice", "password": PASSWORD})
    before.refresh_from_db()
    assert before.revoked_reason == EventKind.REPLACED
    assert its_session().pk != before.pk
    assert is_in(browser)


@pytest.mark.parametrize(
    ("user_agent", "name"),
    [
        (FIREFOX, "Firefox, Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0; Win64) Chrome/130.0 Safari/537.36 Edg/130.0",
            "Edge, Windows",
        ),
        ("Mozilla/5.0 (Linux; Android 14) Chrome/130.0 Mobile Safari/537.36", "Chrome, Android"),
        ("Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Safari/604.1", "Safari, iPhone"),
        ("curl/8.0", ""),
    ],
)
def test_a_browser_is_named_by_what_it_says_of_itself(user_agent: str, name: str) -> None:
    assert browser_name(user_agent) == name


# --- It ends with the others


def end_by_the_list(phone: Phone) -> None:
    phone.send("DELETE", f"devices/{its_session().pk}")


ENDS: dict[str, Callable[[Phone], Any]] = {
    "the list of devices": end_by_the_list,
    "logout-all": lambda phone: phone.send("POST", "logout-all"),
    "an operator": lambda _: call_command("revoke_sessions", "--all", verbosity=0),
    "a new password": lambda phone: phone.send(
        "POST", "password", {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    ),
    "a password set by other code": lambda _: User.objects.update(password="unusable"),
    "deactivation": lambda _: User.objects.update(is_active=False),
    "deletion of its row": lambda _: DeviceSession.objects.filter(platform="browser").delete(),
}


@pytest.mark.parametrize("how", ENDS)
def test_a_browser_is_signed_out_at_its_next_request(
    browser: Client, phone: Phone, how: str
) -> None:
    assert is_in(browser)
    ENDS[how](phone)
    assert not is_in(browser)
    assert not browser.cookies["sessionid"].value


def test_signing_out_ends_the_device_session(browser: Client) -> None:
    session = its_session()
    browser.post("/admin/logout/")
    session.refresh_from_db()
    assert session.revoked_reason == EventKind.SIGNED_OUT
    assert not is_in(browser)


def test_a_browser_in_which_somebody_else_signs_in_ends_the_session_before(
    browser: Client, bob: User
) -> None:
    session = its_session()
    browser.force_login(bob)
    session.refresh_from_db()
    assert session.revoked_reason == EventKind.SIGNED_OUT
    assert its_session().user == bob


def test_a_session_that_was_swept_signs_nobody_out_twice(browser: Client) -> None:
    store = browser.session
    assert store[SESSION_KEY]
    DeviceSession.objects.all().delete()
    store.flush()
    assert not Session.objects.exists()


def test_somebody_signed_in_without_a_device_session_is_refused(browser: Client) -> None:
    # As while another engine was configured.
    store = browser.session
    del store[DEVICE_SESSION_KEY]
    store.save()
    assert not is_in(browser)


def test_what_a_browser_holds_before_anybody_signs_in_is_kept() -> None:
    store = SessionStore()
    store["cart"] = [1, 2]
    store.create()
    store["cart"] = [1, 2]
    store.save()
    assert SessionStore(store.session_key)["cart"] == [1, 2]
    assert store.exists(str(store.session_key))
    store.delete()
    SessionStore().delete()
    SessionStore().flush()
    assert not Session.objects.exists()


# --- Lifetimes


@pytest.mark.parametrize(("is_staff", "minutes"), [(True, 30), (False, 24 * 60)])
def test_a_browser_without_use_is_signed_out(
    clock: Clock, browser: Client, minutes: int, *, is_staff: bool
) -> None:
    User.objects.update(is_staff=is_staff)
    DeviceSession.objects.all().delete()
    browser.force_login(User.objects.get())
    clock.forward(minutes=minutes - 1)
    assert get_user(_request_of(browser)).is_authenticated
    clock.forward(minutes=minutes - 1)
    assert get_user(_request_of(browser)).is_authenticated
    clock.forward(minutes=minutes)
    assert not get_user(_request_of(browser)).is_authenticated


def _request_of(browser: Client) -> Any:
    request = RequestFactory().get("/")
    request.session = SessionStore(browser.cookies["sessionid"].value)
    return request


def test_a_browser_of_staff_is_signed_out_after_half_a_day_of_use(
    clock: Clock, browser: Client
) -> None:
    for _ in range(35):
        clock.forward(minutes=20)
        assert is_in(browser)
    clock.forward(minutes=20)
    assert not is_in(browser)


def test_a_page_costs_one_read_more_and_a_write_once_a_minute(
    clock: Clock, browser: Client, statements: Any
) -> None:
    def cost() -> Statements:
        with statements() as sql:
            assert get_user(_request_of(browser)).is_authenticated
        measured: Statements = sql
        return measured

    # Django's session, the device session, the user.
    assert len(cost()) == 3
    clock.forward(seconds=61)
    assert len(cost().writes) == 1
    assert cost().writes == []
