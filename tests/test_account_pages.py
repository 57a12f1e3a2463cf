"""The pages of an account: sign-in, devices, activity and password, as the endpoints do it."""

import re
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import PermissionDenied
from django.test import Client

from authx.errors import OverloadedError
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.passwords import bulkhead
from tests.account import BASE, NEW_PASSWORD, browser, sign_in, signed_in, text_of
from tests.conftest import Clock
from tests.guessing import WRONG
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db

REFUSED = "The user name or the password is wrong."


def said_by_a_project(*_: Any) -> None:
    raise PermissionDenied("Use the sign-in of the company.")


@pytest.fixture
def here(alice: User) -> Client:
    """Return the browser of Alice, signed in."""
    return signed_in()


def own(client: Client) -> DeviceSession:
    return DeviceSession.objects.get(pk=client.session["_authx_device_session"])


def post(client: Client, path: str, **form: str) -> Any:
    return client.post(BASE + path, form, follow=True)


# --- Sign in, sign out


def test_signing_in_shows_the_devices_and_this_browser_among_them(here: Client) -> None:
    page = here.get(BASE)
    assert page.status_code == HTTPStatus.OK
    assert "Safari, macOS" in text_of(page)
    assert "This browser" in text_of(page)


@pytest.mark.parametrize("path", ["", "activity/", "password/"])
def test_anybody_else_signs_in_first_and_goes_on_there(alice: User, path: str) -> None:
    client = browser()
    asked = client.get(BASE + path)
    assert asked.headers["Location"] == f"{BASE}sign-in/?next={BASE}{path}"
    form = {"username": "alice", "password": PASSWORD, "next": BASE + path}
    assert client.post(f"{BASE}sign-in/", form).headers["Location"] == BASE + path
    assert client.get(f"{BASE}sign-in/").headers["Location"] == BASE


@pytest.mark.parametrize("path", ["end-others/", "end-all/", "x/end/", "x/rename/"])
def test_nobody_else_ends_anything(phone: Phone, path: str) -> None:
    where = f"{BASE}devices/{path.replace('x', phone.session_id)}"
    answer = browser().post(where, {"name": "x"})
    assert answer.status_code == HTTPStatus.FOUND
    assert "sign-in" in answer.headers["Location"]
    assert phone.is_signed_in


@pytest.mark.parametrize("onward", ["https://evil.example/", "//evil.example/", "javascript:x"])
def test_a_sign_in_leads_to_no_other_host(alice: User, onward: str) -> None:
    form = {"username": "alice", "password": PASSWORD, "next": onward}
    assert browser().post(f"{BASE}sign-in/", form).headers["Location"] == BASE


def test_guesses_are_limited_as_everywhere_and_told_in_words(alice: User) -> None:
    answers = [sign_in(browser(), password=WRONG) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert "Too many attempts. Try again in 1 minute." in text_of(answers[-1])
    assert int(answers[-1].headers["Retry-After"]) > 0
    assert sign_in(browser()).status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_while_too_many_passwords_are_hashed_the_page_asks_for_patience(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def overloaded(*_: Any) -> None:
        raise OverloadedError

    monkeypatch.setattr(bulkhead, "_bulkhead", overloaded)
    answer = sign_in(browser())
    assert (answer.status_code, answer.headers["Retry-After"]) == (503, "5")
    assert "The service is busy." in text_of(answer)


def test_a_refusal_of_the_project_is_shown_in_its_words(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_POLICY": f"{__name__}.said_by_a_project"}
    answer = sign_in(browser())
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert "Use the sign-in of the company." in text_of(answer)
    assert not DeviceSession.objects.exists()


def test_signing_out_ends_the_session(here: Client) -> None:
    session = own(here)
    page = post(here, "sign-out/")
    assert "You are signed out in this browser." in text_of(page)
    session.refresh_from_db()
    assert session.revoked_reason == EventKind.SIGNED_OUT
    assert here.get(BASE).status_code == HTTPStatus.FOUND
    assert here.get(f"{BASE}sign-out/").status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_before_a_sign_in_there_is_no_cookie_but_that_of_the_form() -> None:
    client = browser()
    for path in ("sign-in/", "recover/", "not-me/", "recover/password/"):
        client.get(BASE + path)
    client.post(f"{BASE}recover/", {"username": "nobody"})
    sign_in(client, "nobody", WRONG)
    assert set(client.cookies) == {"csrftoken"}


def test_unknown_names_wrong_passwords_and_inactive_accounts_look_alike(
    alice: User, bob: User, statements: Any
) -> None:
    User.objects.filter(username="bob").update(is_active=False)
    for name in ("alice", "bob"):
        # The first failure of an account adds its row.
        sign_in(browser(), name, WRONG)
    pages, costs = set(), set()
    tries = (("alice", WRONG), ("nobody", WRONG), ("bob", WRONG), ("bob", PASSWORD))
    for name, password in tries:
        with statements() as cost:
            answer = sign_in(browser(), name, password)
        if password == WRONG:
            costs.add((len(cost), len(cost.writes)))
        body = answer.content.decode().replace(name, "NAME")
        body = re.sub(r'(nonce|value)="[^"]{20,}"', "", body)
        headers = {key: value for key, value in answer.headers.items() if "nonce" not in value}
        del headers["X-Request-ID"], headers["Content-Length"]
        pages.add((answer.status_code, body, str(headers), str(sorted(answer.cookies))))
    assert len(pages) == 1
    assert costs == {(5, 2)}


# --- Devices


def test_a_device_is_ended_at_once(here: Client, phone: Phone) -> None:
    assert "phone" in text_of(here.get(BASE))
    page = post(here, f"devices/{phone.session_id}/end/")
    assert "The session has ended." in text_of(page)
    assert "Ended within the last day" in text_of(page)
    assert not phone.is_signed_in
    assert here.get(BASE).status_code == HTTPStatus.OK


def test_ending_this_browser_signs_it_out(here: Client) -> None:
    page = post(here, f"devices/{own(here).pk}/end/")
    assert "You are signed out in this browser." in text_of(page)


def test_all_others_end_and_this_one_stays(here: Client, phone: Phone, tablet: Phone) -> None:
    assert "Every other session has ended." in text_of(post(here, "devices/end-others/"))
    assert not phone.is_signed_in
    assert not tablet.is_signed_in
    assert here.get(BASE).status_code == HTTPStatus.OK
    event = SecurityEvent.objects.get(kind=EventKind.SIGNED_OUT_EVERYWHERE)
    assert event.session_id == own(here).pk


def test_everything_ends(here: Client, phone: Phone) -> None:
    assert "Every session has ended" in text_of(post(here, "devices/end-all/"))
    assert not phone.is_signed_in
    assert here.get(BASE).status_code == HTTPStatus.FOUND


def test_a_device_is_renamed_without_what_turns_the_list_around(here: Client, phone: Phone) -> None:
    page = post(here, f"devices/{phone.session_id}/rename/", name="My\u202e phone")
    assert "The new name is saved." in text_of(page)
    assert DeviceSession.objects.get(pk=phone.session_id).name == "My phone"


@pytest.mark.parametrize("name", ["", "\u202e", "x" * 101])
def test_a_name_that_says_nothing_is_refused(here: Client, phone: Phone, name: str) -> None:
    page = post(here, f"devices/{phone.session_id}/rename/", name=name)
    assert page.status_code == HTTPStatus.BAD_REQUEST
    assert "This name cannot be used." in text_of(page)
    assert DeviceSession.objects.get(pk=phone.session_id).name == "phone"


@pytest.mark.parametrize("action", ["end", "rename"])
def test_a_device_of_another_user_is_not_found(here: Client, bob: User, action: str) -> None:
    of_bob = Phone("bob").sign_in()
    answer = here.post(f"{BASE}devices/{of_bob.session_id}/{action}/", {"name": "x"})
    assert answer.status_code == HTTPStatus.NOT_FOUND
    assert of_bob.is_signed_in


def test_what_a_device_says_of_itself_is_escaped(here: Client) -> None:
    Phone("alice", {"name": "<b>phone</b>"}).sign_in()
    for path in ("", "activity/"):
        assert "<b>phone" not in here.get(BASE + path).content.decode()


def test_a_device_is_new_for_a_day(clock: Clock, alice: User) -> None:
    client = signed_in()
    assert "New" in text_of(client.get(BASE))
    for _ in range(3):
        clock.forward(hours=9)
        page = client.get(BASE)
    assert "New" not in text_of(page)


# --- Activity


def test_activity_is_in_sentences_with_a_way_to_say_it_was_not_me(
    here: Client, phone: Phone
) -> None:
    page = here.get(f"{BASE}activity/")
    assert "A device signed in." in text_of(page)
    links = re.findall(r'href="([^"]*not-me[^"]*)"', page.content.decode())
    assert links
    asked = here.get(links[0].replace("&amp;", "&"))
    assert "phone" in text_of(asked)


def test_every_kind_of_event_has_a_sentence(here: Client, alice: User) -> None:
    events = [SecurityEvent(kind=kind, user=alice) for kind in EventKind]
    SecurityEvent.objects.bulk_create(events)
    text = text_of(here.get(f"{BASE}activity/"))
    assert "The account was deactivated." in text
    assert "Unknown device" in text


def test_activity_has_pages(here: Client, alice: User) -> None:
    events = [SecurityEvent(kind=EventKind.SIGN_IN_FAILED, user=alice) for _ in range(40)]
    SecurityEvent.objects.bulk_create(events)
    first, second = (here.get(f"{BASE}activity/?page={page}") for page in ("1", "2"))
    assert "Older" in text_of(first)
    assert "Newer" in text_of(second)
    for given in ("0", "-1", "x", "99999999", "\u0663"):
        assert here.get(f"{BASE}activity/?page={given}").status_code == HTTPStatus.OK


# --- Password


def change(client: Client, current: str = PASSWORD, new: str = NEW_PASSWORD) -> Any:
    return post(client, "password/", current_password=current, new_password=new)


def test_a_new_password_ends_the_other_devices_and_says_so(here: Client, phone: Phone) -> None:
    before, cookie = own(here), here.cookies["sessionid"].value
    page = change(here)
    assert "every other session has ended" in text_of(page)
    assert not phone.is_signed_in
    assert own(here).pk != before.pk
    assert here.cookies["sessionid"].value != cookie
    changed = SecurityEvent.objects.get(kind=EventKind.PASSWORD_CHANGED)
    assert changed.session_id == own(here).pk
    assert sign_in(browser(), password=NEW_PASSWORD).status_code == HTTPStatus.FOUND


def test_a_browser_stays_known_after_a_new_password(here: Client) -> None:
    before, device_id = here.cookies["authx_device"].value, own(here).device_id
    change(here)
    assert here.cookies["authx_device"].value != before
    assert own(here).device_id == device_id
    post(here, "sign-out/")
    guesses = [sign_in(browser(), password=WRONG).status_code for _ in range(6)]
    assert guesses[-1] == HTTPStatus.TOO_MANY_REQUESTS
    assert sign_in(here, password=NEW_PASSWORD).status_code == HTTPStatus.FOUND
    assert own(here).device_id == device_id


def test_a_wrong_or_a_weak_password_changes_nothing(here: Client, phone: Phone) -> None:
    assert "This is not the current password." in text_of(change(here, current=WRONG))
    weak = change(here, new="short")
    assert weak.status_code == HTTPStatus.BAD_REQUEST
    assert "too short" in text_of(weak)
    assert phone.is_signed_in


def test_guesses_at_the_current_password_are_limited(here: Client) -> None:
    answers = [change(here, current=WRONG).status_code for _ in range(6)]
    assert answers == [400] * 5 + [429]
    assert change(here).status_code == HTTPStatus.TOO_MANY_REQUESTS


def test_a_user_without_a_password_is_not_offered_to_change_it(here: Client) -> None:
    assert "Password" in text_of(here.get(BASE))
    user = User.objects.get()
    user.set_unusable_password()
    user.save()
    client = browser()
    client.force_login(user)
    assert "Password" not in text_of(client.get(BASE))


# --- Every page


RECOVER = "recover/password/?token=x"
PAGES = ["sign-in/", "recover/", RECOVER, "not-me/", "", "activity/", "password/"]


@pytest.mark.parametrize("path", PAGES)
def test_a_page_loads_nothing_from_elsewhere_and_weighs_little(here: Client, path: str) -> None:
    client = here if path in PAGES[4:] else browser()
    page = client.get(BASE + path)
    html = page.content.decode()
    assert len(page.content) < 60_000
    assert re.findall(r'(?:src|href)="(?!/|#|data:,|\?)[^"]*"', html) == []
    assert page.headers["Cache-Control"] == "no-store"
    assert page.headers["Referrer-Policy"] == "strict-origin"
    policy = page.headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; style-src 'nonce-")
    assert "unsafe" not in policy
    (nonce,) = set(re.findall(r'nonce="([^"]+)"', html))
    assert f"'nonce-{nonce}'" in policy
    assert nonce not in client.get(BASE + path).content.decode()


@pytest.mark.parametrize(
    ("asked", "language", "direction", "word"),
    [
        ("de", "de", "ltr", "Anmelden"),
        ("ar", "ar", "rtl", "تسجيل الدخول"),
        ("ja,en;q=0.5", "ja", "ltr", "サインイン"),
        ("xx", "en", "ltr", "Sign in"),
    ],
)
def test_a_page_is_in_the_language_that_the_browser_asks_for(
    asked: str, language: str, direction: str, word: str
) -> None:
    page = browser(headers={"accept-language": asked}).get(f"{BASE}sign-in/")
    assert f'<html lang="{language}" dir="{direction}">' in page.content.decode()
    assert word in text_of(page)
    assert page.headers["Content-Language"] == language
    assert "Accept-Language" in page.headers["Vary"]


def test_a_form_without_the_token_of_its_page_is_refused(alice: User) -> None:
    strict = browser(enforce_csrf_checks=True)
    assert sign_in(strict).status_code == HTTPStatus.FORBIDDEN
    assert not DeviceSession.objects.exists()
