"""What happens to users and their sessions is written down, once, and stays."""

from collections.abc import Callable
from contextlib import suppress
from http import HTTPStatus
from io import StringIO
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import IntegrityError, OperationalError, transaction

from authx.audit import events
from authx.errors import InvalidCredentialsError
from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.models.events import AppendOnlyError
from authx.sessions.sweep import sweep
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, error_of, grace_period_over

pytestmark = pytest.mark.django_db

NEW_PASSWORD = "another horse entirely"


def kinds(**narrowed: Any) -> list[str]:
    """Return the kinds of all events but the sign-ins that every test begins with."""
    events = SecurityEvent.objects.filter(**narrowed).order_by("pk")
    return [event.kind for event in events if event.kind not in {"signed_in", "new_device"}]


def change_password(phone: Phone, current: str = PASSWORD) -> Any:
    body = {"current_password": current, "new_password": NEW_PASSWORD}
    return phone.send("POST", "password", body)


def reuse(phone: Phone) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    grace_period_over()
    phone.try_refresh(stolen)
    phone.try_refresh(stolen)


def deactivate(phone: Phone) -> None:
    user = User.objects.get(username=phone.username)
    user.is_active = False
    user.save()
    user.save()


OCCASIONS: dict[str, Callable[[Phone], Any]] = {
    "sign_in_failed": lambda phone: phone.try_sign_in("wrong password"),
    "signed_out": lambda phone: phone.send("POST", "logout"),
    "signed_out_everywhere": lambda phone: phone.send("POST", "logout-all", {}),
    "token_revoked": lambda phone: phone.send("POST", "revoke", {"token": phone.refresh_token}),
    "ended_by_user": lambda phone: phone.send("DELETE", f"devices/{phone.session_id}"),
    "ended_by_operator": lambda phone: call_command(
        "revoke_sessions", "--user", phone.username, stdout=StringIO()
    ),
    "replaced": lambda phone: Phone(device=phone.device).sign_in(),
    "reuse_detected": reuse,
    "password_changed": change_password,
    "password_change_failed": lambda phone: change_password(phone, "wrong"),
    "deactivated": deactivate,
    "deleted": lambda phone: User.objects.get(username=phone.username).delete(),
}


@pytest.mark.parametrize("kind", OCCASIONS)
def test_each_thing_that_happens_is_one_event(kind: str, alice: User, phone: Phone) -> None:
    alice_id = alice.pk
    OCCASIONS[kind](phone)
    assert kinds() == [kind]
    event = SecurityEvent.objects.get(kind=kind)
    owner = (None, str(alice_id)) if kind == "deleted" else (alice_id, "")
    assert (event.user_id, event.former_user_id) == owner


def test_an_eviction_is_one_event_of_the_session_that_went(phone: Phone, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 1}
    Phone(device={"installation_id": "tablet"}).sign_in()
    event = SecurityEvent.objects.get(kind="evicted")
    assert (str(event.session_id), event.installation_id) == (phone.session_id, "phone")


def test_an_event_says_who_where_when_and_on_which_device(clock: Clock, alice: User) -> None:
    device = {"name": "Alice's phone", "platform": "iOS", "installation_id": "abc"}
    body = {"username": "alice", "password": PASSWORD, "device": device}
    answer = Phone().send(
        "POST", "login", body, headers={"user-agent": "App/1"}, REMOTE_ADDR="192.0.2.7"
    )
    event = SecurityEvent.objects.get()
    assert (event.kind, event.user_id, event.reason) == ("signed_in", alice.pk, "")
    assert str(event.session_id) == answer.json()["device"]["id"]
    assert (event.ip, event.user_agent) == ("192.0.2.7", "App/1")
    assert event.request_id == answer.headers["X-Request-ID"]
    assert (event.device_name, event.platform) == ("Alice's phone", "iOS")
    assert (event.installation_id, event.created_at.hour) == ("abc", 12)


@pytest.mark.parametrize(
    ("name", "is_active", "reason"),
    [("alice", True, "wrong_password"), ("alice", False, "inactive")],
)
def test_a_failed_sign_in_with_a_known_name_belongs_to_its_user(
    alice: User, name: str, is_active: bool, reason: str
) -> None:
    User.objects.update(is_active=is_active)
    Phone(name).try_sign_in("wrong password" if is_active else PASSWORD)
    event = SecurityEvent.objects.get()
    assert (event.user_id, event.reason) == (alice.pk, reason)


def test_a_failed_sign_in_of_an_unknown_name_is_logged_and_leaves_no_row(
    clock: Clock, db: None, caplog: pytest.LogCaptureFixture
) -> None:
    # It may be a password, typed into the wrong field.
    for _ in range(6):
        Phone("Tr0ub4dor&3").try_sign_in()
    logged = [vars(record).get("event") for record in caplog.records]
    assert logged.count("authn_login_fail") == 5
    assert logged.count("authn_login_fail_max") == 1
    assert not SecurityEvent.objects.exists()
    assert "tr0ub4dor" not in caplog.text.lower()


def test_a_password_set_anywhere_is_an_event(alice: User, phone: Phone) -> None:
    alice.set_password(NEW_PASSWORD)
    alice.save()
    alice.save()
    assert kinds() == ["password_changed"]


def test_what_only_looks_like_a_change_of_the_password_is_none(alice: User, phone: Phone) -> None:
    alice.first_name = "Alice"
    alice.save()
    carol = User(username="carol")
    carol.set_password(PASSWORD)
    carol.save()
    assert kinds() == []


def test_ending_the_sessions_of_all_users_is_one_event_without_a_user(
    phone: Phone, tablet: Phone
) -> None:
    call_command("revoke_sessions", "--all", stdout=StringIO())
    call_command("revoke_sessions", "--all", stdout=StringIO())
    event = SecurityEvent.objects.get(kind="ended_by_operator")
    assert (event.user_id, event.session_id) == (None, None)
    assert event.reason == "2 sessions of all users"


def test_what_ends_nothing_is_no_event(phone: Phone, alice: User) -> None:
    phone.send("POST", "logout-all", {"keep_current": True})
    phone.send("POST", "revoke", {"token": "axr_forged"})
    phone.refresh().refresh().call()
    assert kinds() == []


def test_another_event_of_the_same_number_does_not_replace_it(phone: Phone) -> None:
    event = SecurityEvent.objects.get()
    with pytest.raises(IntegrityError), transaction.atomic():
        SecurityEvent(pk=event.pk, kind=event.kind, reason="x").save()
    with pytest.raises(AppendOnlyError):
        SecurityEvent.objects.bulk_create([event], None, False, True, ["reason"], ["id"])  # noqa: FBT003
    assert SecurityEvent.objects.get().reason == ""


def test_an_event_cannot_be_changed_or_deleted(phone: Phone) -> None:
    event = SecurityEvent.objects.get()
    ways: list[Callable[[], Any]] = [
        event.save,
        event.delete,
        lambda: SecurityEvent.objects.update(reason="x"),
        SecurityEvent.objects.all().delete,
        SecurityEvent._base_manager.all().delete,
        lambda: SecurityEvent.objects.bulk_update([event], ["reason"]),
        lambda: SecurityEvent.objects.bulk_create(
            [event], update_conflicts=True, unique_fields=["id"], update_fields=["reason"]
        ),
        lambda: SecurityEvent.objects.bulk_create([event], ignore_conflicts=True),
    ]
    for way in ways:
        with pytest.raises(AppendOnlyError), transaction.atomic():
            way()
    assert SecurityEvent.objects.get().reason == ""


def test_an_event_is_saved_once(db: None) -> None:
    event = SecurityEvent(kind=EventKind.SIGNED_OUT)
    event.save()
    with pytest.raises(AppendOnlyError):
        event.save()
    assert SecurityEvent.objects.count() == 1


def test_events_outlive_session_and_user(clock: Clock, alice: User, phone: Phone) -> None:
    alice_id = alice.pk
    phone.send("POST", "logout")
    clock.forward(days=8)
    sweep()
    alice.delete()
    assert not DeviceSession.objects.exists()
    events = SecurityEvent.objects.filter(former_user_id=str(alice_id)).order_by("pk")
    assert [event.kind for event in events] == ["signed_in", "signed_out"]
    assert str(events[1]).startswith("signed out, ")


@pytest.fixture
def full_disk() -> Any:
    """Let no event be written."""
    failure = OperationalError("could not extend file")
    return mock.patch.object(events, "record_events", side_effect=failure)


@pytest.mark.django_db(transaction=True)
def test_without_an_event_no_sign_in_succeeds_and_the_client_may_retry(
    phone: Phone, full_disk: Any
) -> None:
    with mock.patch("authx.sessions.open.record_events", side_effect=OperationalError):
        refusal = Phone(device={}).try_sign_in()
    assert error_of(refusal) == (HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable")
    assert DeviceSession.objects.count() == 1
    with full_disk:
        assert error_of(phone.try_sign_in("wrong password")) == error_of(refusal)
        assert error_of(phone.send("POST", "logout")) == error_of(refusal)
    assert phone.is_signed_in


@pytest.mark.django_db(transaction=True)
def test_an_event_of_what_was_rolled_back_is_not_there_and_not_logged(
    alice: User, caplog: pytest.LogCaptureFixture
) -> None:
    with suppress(InvalidCredentialsError), transaction.atomic():
        events.record_event(kind=EventKind.SIGNED_OUT, user_id=alice.pk)
        raise InvalidCredentialsError
    assert not SecurityEvent.objects.exists()
    assert "session_logout" not in caplog.text
