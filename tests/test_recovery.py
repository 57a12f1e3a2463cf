"""The way back in: a mailed link sets a new password, once; nothing tells who has an account."""

from collections.abc import Callable
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.db import connection
from django.utils import timezone

from authx.audit.links import new_recovery_token
from authx.devices import find_known_device
from authx.errors import InvalidRecoveryTokenError
from authx.models import DeviceSession, EventKind, Notification, PasswordFailures, SecurityEvent
from authx.passwords import recovery
from authx.passwords.recovery import recover
from tests.account import (
    NEW_PASSWORD,
    ask,
    confirm,
    link_in,
    mailed_token,
    mails,
    with_address,
)
from tests.conftest import Clock
from tests.guessing import guess, statuses
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(alice: User) -> User:
    return with_address(alice)


# --- What the link does


@pytest.mark.parametrize("name", ["alice", "alice@example.com", "ALICE@EXAMPLE.COM"])
def test_a_name_or_an_address_gets_a_link(alice: User, name: str) -> None:
    answer = ask(name)
    assert (answer.status_code, answer.json()) == (HTTPStatus.ACCEPTED, {})
    (message,) = mails()
    assert message.to == ["alice@example.com"]
    assert link_in(message).startswith("/account/recover/password/?token=")


def test_the_app_exchanges_the_token_for_a_pair_and_every_session_ends(
    alice: User, phone: Phone, tablet: Phone
) -> None:
    answer = confirm(mailed_token(), name="new phone")
    assert answer.status_code == HTTPStatus.OK
    assert Phone(pair=answer.json()).is_signed_in
    assert not phone.is_signed_in
    assert not tablet.is_signed_in
    assert set(
        DeviceSession.objects.filter(name__in=["phone", "tablet"]).values_list(
            "revoked_reason", flat=True
        )
    ) == {EventKind.PASSWORD_CHANGED}
    assert guess(password=PASSWORD).status_code == HTTPStatus.BAD_REQUEST
    assert guess(password=NEW_PASSWORD).status_code == HTTPStatus.OK
    changed = next(one for one in mails() if "password was changed" in one.subject)
    assert "Every other session was ended." in changed.body


def test_the_device_is_known_from_then_on(alice: User) -> None:
    credential = confirm(mailed_token(), name="new phone").json()["device_credential"]
    assert find_known_device(User.objects.get(), credential) is not None


def test_a_link_works_once(alice: User) -> None:
    raw_token = mailed_token()
    assert confirm(raw_token).status_code == HTTPStatus.OK
    assert error_of(confirm(raw_token, "a third horse, a third battery")) == (400, "invalid_grant")
    assert guess(password=NEW_PASSWORD).status_code == HTTPStatus.OK


def test_a_link_that_a_parallel_request_has_used_is_refused(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_token = mailed_token()

    def meanwhile(*_: Any) -> None:
        monkeypatch.undo()
        recover(raw_token=raw_token, new_password="the first of both requests")

    monkeypatch.setattr(recovery, "validate_password", meanwhile)
    with pytest.raises(InvalidRecoveryTokenError):
        recover(raw_token=raw_token, new_password=NEW_PASSWORD)
    assert guess(password="the first of both requests").status_code == HTTPStatus.OK


def test_a_link_ends_after_half_an_hour(clock: Clock, alice: User) -> None:
    early, late = mailed_token(), mailed_token()
    clock.forward(minutes=29)
    assert confirm(early).status_code == HTTPStatus.OK
    clock.forward(minutes=1)
    alice.refresh_from_db()
    assert error_of(confirm(late)) == (400, "invalid_grant")


def test_a_link_ends_half_an_hour_after_it_was_mailed(clock: Clock, alice: User) -> None:
    raw_token = mailed_token()
    clock.forward(minutes=30)
    assert error_of(confirm(raw_token)) == (400, "invalid_grant")


def test_a_link_ends_with_a_password_change(alice: User, phone: Phone) -> None:
    raw_token = mailed_token()
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    assert phone.send("POST", "password", body).status_code == HTTPStatus.OK
    assert error_of(confirm(raw_token)) == (400, "invalid_grant")


def test_a_thief_who_signs_in_does_not_end_the_link_of_the_owner(alice: User) -> None:
    raw_token = mailed_token()
    User.objects.update(last_login=timezone.now() + timedelta(seconds=5))
    assert Phone().sign_in().is_signed_in
    assert confirm(raw_token).status_code == HTTPStatus.OK


@pytest.mark.parametrize("forged", ["", "x", ".", "MQ.x-y", "!!.a-b", "_w.a-b", "MQ." + "1" * 300])
def test_a_forged_token_is_refused(alice: User, forged: str) -> None:
    answer = confirm(forged)
    assert answer.status_code == HTTPStatus.BAD_REQUEST
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


def test_a_token_is_for_one_account(alice: User, bob: User) -> None:
    _, _, proof = new_recovery_token(alice).partition(".")
    encoded, _, _ = new_recovery_token(bob).partition(".")
    assert error_of(confirm(f"{encoded}.{proof}")) == (400, "invalid_grant")


def test_forged_tokens_are_limited_per_network(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"FORGED_TOKEN_RATES": ["2/minute"]}
    found = [confirm("MQ.x-y").status_code for _ in range(3)]
    assert found == [400, 400, 429]


def test_a_weak_password_is_refused_and_the_link_stays(alice: User) -> None:
    raw_token = mailed_token()
    refused = confirm(raw_token, "short")
    assert error_of(refused) == (400, "invalid_request")
    assert refused.json()["fields"]["new_password"]
    assert confirm(raw_token).status_code == HTTPStatus.OK


# --- Who gets in by it


def test_it_is_the_way_back_from_a_password_that_is_switched_off(alice: User) -> None:
    guess()
    PasswordFailures.objects.update(count=100)
    assert guess(password=PASSWORD).status_code == HTTPStatus.BAD_REQUEST
    assert confirm(mailed_token()).status_code == HTTPStatus.OK
    assert guess(password=NEW_PASSWORD).status_code == HTTPStatus.OK


def test_it_is_the_way_back_from_a_full_bucket(alice: User) -> None:
    assert statuses(6)[-1] == HTTPStatus.TOO_MANY_REQUESTS
    assert confirm(mailed_token()).status_code == HTTPStatus.OK
    assert guess(password=NEW_PASSWORD).status_code == HTTPStatus.OK


def test_a_user_without_a_password_is_told_how_to_sign_in(alice: User) -> None:
    alice.set_unusable_password()
    alice.save()
    ask()
    message = mails()[-1]
    assert "sign in as you always do" in message.body
    assert "token=" not in message.body + message.alternatives[0][0]


def test_an_inactive_user_gets_no_mail_and_no_session(alice: User) -> None:
    raw_token = mailed_token()
    User.objects.update(is_active=False)
    assert error_of(confirm(raw_token)) == (400, "invalid_grant")
    ask()
    assert len(mails()) == 1


def test_a_link_can_open_the_app(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"RECOVERY_LINK": "https://app.example.com/r?token={token}"}
    ask()
    assert "https://app.example.com/r?token=" in mails()[0].body


def test_a_user_model_without_addresses_knows_names_only(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(User, "EMAIL_FIELD", "no_such_field")
    assert [ask(name).status_code for name in ("alice", "alice@example.com")] == [202, 202]
    known = SecurityEvent.objects.filter(kind=EventKind.RECOVERY_REQUESTED)
    assert list(known.order_by("pk").values_list("user_id", flat=True)) == [alice.pk, None]


def test_accounts_that_share_an_address_get_a_mail_each(alice: User, bob: User) -> None:
    User.objects.update(email="both@example.com")
    ask("both@example.com")
    assert len(mails()) == 2


def nothing_is_stored(raw_token: str) -> bool:
    with connection.cursor() as cursor:
        for table in connection.introspection.table_names():
            cursor.execute(f'SELECT * FROM "{table}"')
            if raw_token.partition("-")[2] in str(cursor.fetchall()):
                return False
    return True


def test_nothing_of_a_link_is_stored_or_logged(alice: User, caplog: Any) -> None:
    raw_token = mailed_token()
    assert nothing_is_stored(raw_token)
    assert confirm(raw_token).status_code == HTTPStatus.OK
    assert nothing_is_stored(raw_token)
    assert raw_token.partition("-")[2] not in caplog.text


# --- It tells nothing


NAMES = ["alice", "alice@example.com", "nobody", "nobody@example.com", "inactive", "social"]


@pytest.fixture
def everybody(alice: User, new_user: Callable[[str], User]) -> None:
    with_address(new_user("inactive"))
    User.objects.filter(username="inactive").update(is_active=False)
    social = new_user("social")
    social.set_unusable_password()
    social.save()


@pytest.mark.usefixtures("everybody")
def test_every_name_has_the_same_answer_after_the_same_statements(statements: Any) -> None:
    found = set()
    for number, name in enumerate(NAMES):
        with statements() as cost:
            answer = ask(name, REMOTE_ADDR=f"192.0.2.{number}")
        headers = {key: value for key, value in answer.headers.items() if key != "X-Request-ID"}
        sql = [one.split(" ")[0] for one in cost.sql]
        found.add((answer.status_code, answer.content, str(headers), str(answer.cookies), str(sql)))
    assert len(found) == 1


def test_a_name_that_nobody_has_gets_no_mail_and_leaves_no_row(caplog: Any, committed: Any) -> None:
    for _ in range(4):
        with committed():
            assert ask("nobody").status_code == HTTPStatus.ACCEPTED
    assert mails() == []
    assert not Notification.objects.exists()
    assert not SecurityEvent.objects.exists()
    assert [vars(one).get("event") for one in caplog.records].count("authn_recovery_request") == 4


def test_an_event_of_a_deleted_user_is_kept_when_its_mail_is_not_sent(alice: User) -> None:
    ask("alice")
    alice.delete()
    assert mails() == []
    assert SecurityEvent.objects.filter(kind=EventKind.RECOVERY_REQUESTED).count() == 1


def test_an_attacker_who_takes_the_address_of_another_person_as_a_name_keeps_no_mail(
    alice: User,
) -> None:
    User.objects.create_user(alice.email, "mallory@example.com", PASSWORD)
    ask(alice.email)
    assert sorted(message.to[0] for message in mails()) == [alice.email, "mallory@example.com"]


def test_an_attacker_cannot_write_in_the_mail_to_somebody_else(alice: User) -> None:
    words = "Your account is blocked: https://evil.example"
    ask(alice.email, headers={"user-agent": words})
    (message,) = mails()
    assert "evil.example" not in message.body
    assert "evil.example" not in str(message.alternatives)
