"""A browser that is signed in by a cookie is a device like any other, and ends with the others."""

import pickle
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY, aauthenticate, alogin, alogout, get_user, login
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.core.management import call_command
from django.db import connection
from django.test import Client, RequestFactory

from authx.checks.middleware import check_session_engine
from authx.errors import CredentialsChangedError
from authx.models import DeviceSession, EventKind, Notification, SecurityEvent
from authx.passwords.backends import ModelBackend
from authx.project import open_session
from authx.sessions.browsers import browser_name
from authx.sessions.cookies import DEVICE_SESSION_KEY, SessionStore, stored_key
from authx.sessions.open import open_browser_session
from authx.sessions.values import Device
from tests.conftest import Clock, Statements
from tests.guessing import WRONG
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"
NEW_PASSWORD = "another horse, another battery"
CHANGED = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}


@pytest.fixture
def alice(alice: User) -> User:
    alice.is_staff = alice.is_superuser = True
    alice.save()
    return alice


def signed_in_browser(password: str = PASSWORD) -> Client:
    """Return a browser whose user has filled in the admin's form."""
    client = Client(headers={"user-agent": FIREFOX}, raise_request_exception=False)
    client.post("/admin/login/?next=/admin/", {"username": "alice", "password": password})
    return client


def is_in(client: Client) -> Any:
    return client.get("/admin/").status_code == HTTPStatus.OK


@pytest.fixture
def browser(alice: User) -> Client:
    browser = signed_in_browser()
    assert is_in(browser)
    return browser


def its_session() -> DeviceSession:
    return DeviceSession.objects.get(platform="browser", revoked_at=None)


# --- It is a device


def test_a_browser_is_listed_among_the_devices(browser: Client, phone: Phone) -> None:
    listed = {device["platform"]: device for device in phone.send("GET", "devices").json()}
    assert listed["browser"]["name"] == "Firefox, Linux"
    assert listed["browser"]["current"] is False
    assert listed["browser"]["last_ip"] == "127.0.0.1"


def test_a_browser_that_is_new_to_the_account_sends_mail(alice: User, phone: Phone) -> None:
    assert not Notification.objects.exists()
    signed_in_browser()
    assert Notification.objects.get().event.kind == EventKind.NEW_DEVICE
    signed_in_browser()
    assert Notification.objects.count() == 1


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


# --- No credential of it lies around


def test_no_token_of_a_browser_exists(browser: Client, phone: Phone) -> None:
    session = its_session()
    for text in (session.digest, session.refresh_digest, str(session.pk)):
        assert error_of(Phone(pair={"access_token": text}).call()) == (401, "invalid_token")
        assert phone.try_refresh(text).status_code == HTTPStatus.BAD_REQUEST
    assert is_in(browser)


def test_a_dump_of_the_sessions_opens_none(browser: Client) -> None:
    cookie = browser.cookies["sessionid"].value
    (row,) = Session.objects.all()
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM django_session")
        assert cookie not in str(cursor.fetchall())
    thief = Client()
    thief.cookies["sessionid"] = row.session_key
    assert not is_in(thief)
    assert row.session_key == stored_key(cookie)
    assert is_in(browser)


def test_an_upgraded_password_hash_signs_no_browser_out(
    browser: Client, alice: User, settings: Any
) -> None:
    settings.PASSWORD_HASHERS = list(reversed(settings.PASSWORD_HASHERS))
    Phone().sign_in()
    assert User.objects.get().password != alice.password
    assert is_in(browser)


def test_another_secret_key_signs_no_browser_out(browser: Client, settings: Any) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "x" * 50
    assert is_in(browser)
    assert is_in(browser)


# --- A password is asked again


def test_guesses_at_the_password_change_of_the_admin_are_limited(browser: Client) -> None:
    form = {"old_password": WRONG, **CHANGED}
    answers = [browser.post("/admin/password_change/", form).status_code for _ in range(6)]
    assert answers == [HTTPStatus.OK] * 5 + [HTTPStatus.TOO_MANY_REQUESTS]
    right = {"old_password": PASSWORD, **CHANGED}
    refused = browser.post("/admin/password_change/", right)
    assert refused.status_code == HTTPStatus.TOO_MANY_REQUESTS
    kinds = SecurityEvent.objects.filter(kind=EventKind.PASSWORD_CHANGE_FAILED)
    assert set(kinds.values_list("reason", flat=True)) == {"in_a_browser"}
    assert kinds.count() == 5


def test_a_right_password_is_accepted_and_clears_the_count(browser: Client) -> None:
    user: Any = ModelBackend().get_user(User.objects.get().pk)
    assert [user.check_password(WRONG) for _ in range(4)] == [False] * 4
    assert user.check_password(PASSWORD)
    assert [user.check_password(WRONG) for _ in range(5)] == [False] * 5


def test_the_user_of_a_cookie_can_be_cached(browser: Client) -> None:
    user: Any = ModelBackend().get_user(User.objects.get().pk)
    copied = pickle.loads(pickle.dumps(user))
    assert copied.check_password(PASSWORD)


def test_a_password_changed_in_the_admin_ends_every_session(browser: Client, phone: Phone) -> None:
    browser.post("/admin/password_change/", {"old_password": PASSWORD, **CHANGED})
    assert not phone.is_signed_in
    assert not is_in(browser)
    assert is_in(signed_in_browser(NEW_PASSWORD))


# --- Where it can fail


def test_a_password_that_changed_meanwhile_opens_no_session(alice: User) -> None:
    User.objects.update(password="another")
    with pytest.raises(CredentialsChangedError):
        open_browser_session(user=alice, device=Device())
    client = Client(raise_request_exception=False)
    with pytest.raises(CredentialsChangedError):
        client.force_login(alice)
    assert not DeviceSession.objects.exists()


def test_a_sign_in_with_another_engine_is_recorded(alice: User, settings: Any) -> None:
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.db"
    Client().force_login(alice)
    assert SecurityEvent.objects.get().reason == "without_device_session"


async def _signed_in_and_out(request: Any) -> tuple[Any, Any]:
    user: Any = await aauthenticate(request, username="alice", password=PASSWORD)
    await alogin(request, user)
    await request.session.asave()
    await request.session.adelete("no such key")
    cookie = SessionStore(request.session.session_key)
    known = await cookie.aget(SESSION_KEY)
    assert await cookie.aexists(request.session.session_key)

    async def auser() -> Any:
        return user

    request.auser = auser
    await alogout(request)
    return known, await SessionStore(cookie.session_key).aget(SESSION_KEY)


@pytest.mark.django_db(transaction=True)
def test_asynchronous_pages_do_the_same(alice: User) -> None:
    request: Any = RequestFactory().get("/")
    request.session, request.user = SessionStore(), AnonymousUser()

    known, after = async_to_sync(_signed_in_and_out)(request)
    assert (known, after) == (str(alice.pk), None)
    assert DeviceSession.objects.get().revoked_reason == EventKind.SIGNED_OUT


def test_another_engine_is_reported(settings: Any) -> None:
    assert check_session_engine() == []
    settings.SESSION_ENGINE = "django.contrib.sessions.backends.cached_db"
    assert [message.id for message in check_session_engine()] == ["authx.W021"]
    without = [name for name in settings.MIDDLEWARE if "SessionMiddleware" not in name]
    settings.MIDDLEWARE = without
    assert check_session_engine() == []


# --- Beside other sign-ins


def test_a_device_that_a_project_signs_in_after_login_replaces_the_browser(alice: User) -> None:
    request: Any = RequestFactory().get("/")
    request.session, request.user = SessionStore(), AnonymousUser()
    login(request, alice)
    pair = open_session(user=alice, request=request, device=Device(name="phone"))
    assert DeviceSession.objects.get(revoked_at=None) == pair.session
    assert DeviceSession.objects.get(platform="browser").revoked_reason == EventKind.REPLACED


def test_a_signal_without_a_login_opens_nothing(alice: User) -> None:
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    user_logged_in.send(sender=User, request=request, user=alice)
    assert not DeviceSession.objects.exists()
