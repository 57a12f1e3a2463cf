"""Nothing that is stored signs a browser in, and guesses at its password are limited."""

import pickle
from http import HTTPStatus
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import SESSION_KEY, aauthenticate, alogin, alogout, login
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.auth.signals import user_logged_in
from django.contrib.sessions.models import Session
from django.db import connection
from django.test import Client, RequestFactory

from authx.checks.middleware import check_session_engine
from authx.errors import CredentialsChangedError
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.passwords.backends import ModelBackend
from authx.project import open_session
from authx.sessions.cookies import DEVICE_COOKIE, SessionStore, stored_key
from authx.sessions.open import open_browser_session
from authx.sessions.values import Device
from tests.browsers import is_in, its_session, signed_in_browser
from tests.guessing import WRONG
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "another horse, another battery"
CHANGED = {"new_password1": NEW_PASSWORD, "new_password2": NEW_PASSWORD}


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
    assert [message.id for message in check_session_engine()] == ["authx.W023"]
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


def test_a_sign_in_by_login_and_then_by_a_project_is_of_one_device(alice: User) -> None:
    def sign_in(raw_credential: str = "") -> str:
        request: Any = RequestFactory().get("/")
        request.session, request.user = SessionStore(), AnonymousUser()
        request.COOKIES[DEVICE_COOKIE] = raw_credential
        login(request, alice)
        return open_session(user=alice, request=request).raw_device_credential

    raw_credential = sign_in()
    assert not SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).exists()
    sign_in(raw_credential)
    assert not SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).exists()
    sign_in()
    assert SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).count() == 1


def test_a_signal_without_a_login_opens_nothing(alice: User) -> None:
    request: Any = RequestFactory().get("/")
    request.session = SessionStore()
    user_logged_in.send(sender=User, request=request, user=alice)
    assert not DeviceSession.objects.exists()
