"""A hundred wrong passwords in a row, and the password opens nothing until it is set anew."""

from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import Permission, User
from django.core.management import CommandError, call_command
from django.test import Client

from authx.models import EventKind, PasswordFailures, SecurityEvent
from authx.passwords.check import unlock_password
from tests.conftest import Clock
from tests.guessing import WRONG, guess, statuses
from tests.phone import PASSWORD, Phone, error_of

pytestmark = [
    pytest.mark.portable,
    pytest.mark.django_db,
    pytest.mark.usefixtures("without_limits"),
]

NEW_PASSWORD = "another horse entirely, honest"
LIST = "/admin/authx/passwordfailures/"


@pytest.fixture
def off(alice: User, phone: Phone) -> User:
    """Alice, signed in on her phone, whose password is off."""
    assert guess().status_code == HTTPStatus.BAD_REQUEST
    PasswordFailures.objects.update(count=100)
    return alice


def test_after_a_hundred_failures_the_right_password_is_refused(phone: Phone) -> None:
    assert statuses(99) == [400] * 99
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK
    assert statuses(100) == [400] * 100
    assert guess(password=PASSWORD).content == guess().content
    assert PasswordFailures.objects.get().count == 100


def test_sessions_stay_alive_while_the_password_is_locked(off: User, phone: Phone) -> None:
    assert phone.refresh().is_signed_in


def test_a_device_that_is_known_gets_in_no_more_than_others(off: User, phone: Phone) -> None:
    assert error_of(phone.try_sign_in()) == (400, "invalid_grant")


def test_it_is_locked_in_the_admin_too(off: User) -> None:
    User.objects.update(is_staff=True)
    form = {"username": "alice", "password": PASSWORD}
    assert Client().post("/admin/login/?next=/admin/", form).status_code == HTTPStatus.OK


def test_it_changes_no_password_while_it_is_off(off: User, phone: Phone) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    response = phone.send("POST", "password", body)
    assert set(response.json()["fields"]) == {"current_password"}
    assert phone.is_signed_in


def test_wrong_present_passwords_count_as_well(phone: Phone) -> None:
    body = {"current_password": WRONG, "new_password": NEW_PASSWORD}
    answers = [phone.send("POST", "password", body).status_code for _ in range(3)]
    assert answers == [400] * 3
    assert PasswordFailures.objects.get().count == 3


def test_a_password_set_anew_by_whatever_means_is_on(off: User) -> None:
    User.objects.update(password=make_password(NEW_PASSWORD))
    assert statuses(2) == [400] * 2
    assert guess(password=NEW_PASSWORD).status_code == HTTPStatus.OK
    assert PasswordFailures.objects.get().count == 0


def test_a_new_secret_key_switches_nothing_on(settings: Any, off: User) -> None:
    settings.SECRET_KEY = "another key altogether"
    settings.SECRET_KEY_FALLBACKS = []
    assert guess(password=PASSWORD).status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("bound", [1, 3])
def test_switching_off_and_on_is_recorded_once(alice: User, settings: Any, bound: int) -> None:
    settings.AUTHX = settings.AUTHX | {"MAX_PASSWORD_FAILURES": bound}
    assert statuses(bound - 1) == [400] * (bound - 1)
    assert not recorded(EventKind.PASSWORD_LOCKED)
    assert statuses(3) == [400] * 3
    assert recorded(EventKind.PASSWORD_LOCKED) == [alice.pk]
    assert unlock_password(user_id=alice.pk)
    assert not unlock_password(user_id=alice.pk)
    assert recorded(EventKind.PASSWORD_UNLOCKED) == [alice.pk]


def test_a_right_password_beside_the_last_wrong_one_keeps_it_unlocked(
    alice: User, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"MAX_PASSWORD_FAILURES": 1}

    def check(*_: Any) -> bool:
        unlock_password(user_id=alice.pk)
        return False

    with mock.patch.object(User, "check_password", side_effect=check):
        assert statuses(1) == [400]
    assert not recorded(EventKind.PASSWORD_LOCKED)


def recorded(kind: EventKind) -> list[int | None]:
    return list(SecurityEvent.objects.filter(kind=kind).values_list("user_id", flat=True))


def test_unknown_names_leave_no_row(alice: User) -> None:
    assert statuses(3, "nobody") == [400] * 3
    assert not PasswordFailures.objects.exists()


@pytest.mark.postgresql
def test_a_wrong_password_costs_one_write_and_a_right_one_two(
    phone: Phone, statements: Any
) -> None:
    with statements() as wrong:
        guess()
    with statements() as right:
        guess(password=PASSWORD)
    of_failures = [sql for sql in right.writes if "passwordfailures" in sql]
    # Besides the event and the check whether the password is locked by now.
    of_wrong = [sql for sql in wrong.writes if "passwordfailures" in sql]
    assert (len(wrong) - 3, len(of_wrong), len(of_failures)) == (2, 1, 2)


def test_the_command_unlocks_it_and_ends_the_wait(
    clock: Clock, off: User, settings: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES": ["3/minute"]}
    assert statuses(4) == [400] * 3 + [429]
    call_command("unlock_password", "--user", "alice")
    assert capsys.readouterr().out == "Unlocked.\n"
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


def test_the_command_names_an_unknown_user(alice: User) -> None:
    with pytest.raises(CommandError, match="no user 'nobody'"):
        call_command("unlock_password", "--user", "nobody")


def operator(*permissions: str) -> Client:
    client = Client()
    user = User.objects.create_user("operator", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(user, "authx.passwords.backends.ModelBackend")
    return client


def restore(client: Client, user: User) -> Any:
    form = {"action": "unlock", "_selected_action": str(user.pk)}
    return client.post(LIST, form, follow=True)


def test_the_admin_lists_locked_users_and_unlocks_them(off: User) -> None:
    client = operator("view_passwordfailures", "unlock_password")
    assert 'alt="True"' in client.get(LIST).content.decode()
    assert "1 account unlocked." in restore(client, off).content.decode()
    assert 'alt="False"' in client.get(LIST).content.decode()
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


def test_who_may_only_look_switches_nothing_on(off: User) -> None:
    restore(operator("view_passwordfailures"), off)
    assert guess(password=PASSWORD).status_code == HTTPStatus.BAD_REQUEST


@pytest.mark.parametrize("page", ["add/", "{pk}/delete/", "{pk}/change/"])
def test_the_count_is_read_only_in_the_admin(off: User, page: str, admin_client: Client) -> None:
    response = admin_client.post(LIST + page.format(pk=off.pk), {"post": "yes", "count": 0})
    assert response.status_code == HTTPStatus.FORBIDDEN
    assert PasswordFailures.objects.get().count == 100


def test_a_user_with_failures_can_be_deleted(off: User) -> None:
    client = operator("delete_user", "delete_devicesession", "view_user")
    client.post(f"/admin/auth/user/{off.pk}/delete/", {"post": "yes"})
    assert not PasswordFailures.objects.exists()


def test_a_row_shows_whose_it_is_and_how_many(off: User) -> None:
    assert str(PasswordFailures.objects.get()) == f"100 failed password attempts of user {off.pk}"
