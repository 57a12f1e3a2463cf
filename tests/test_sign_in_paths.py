"""Every sign-in is an event, on whichever path it comes."""

import pytest
from django.contrib.auth.models import User
from django.test import Client

from authx.models import PasswordFailures, SecurityEvent
from tests.guessing import WRONG, guess
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db


def by_the_admin(username: str, password: str) -> None:
    form = {"username": username, "password": password}
    Client().post("/admin/login/?next=/admin/", form)


def told() -> list[tuple[str, str, int | None]]:
    return list(SecurityEvent.objects.order_by("pk").values_list("kind", "reason", "user_id"))


@pytest.fixture
def operator(alice: User) -> User:
    User.objects.filter(pk=alice.pk).update(is_staff=True, is_superuser=True)
    return alice


def test_sign_ins_by_the_admin_are_recorded_once_each(operator: User) -> None:
    by_the_admin("alice", WRONG)
    by_the_admin("alice", PASSWORD)
    by_the_admin("nobody", PASSWORD)
    assert told() == [
        ("sign_in_failed", "wrong_password", operator.pk),
        ("signed_in", "after_failure", operator.pk),
    ]


def test_sign_ins_by_an_app_are_recorded_once_each(alice: User) -> None:
    Phone().try_sign_in(WRONG)
    Phone().sign_in()
    assert told() == [
        ("sign_in_failed", "wrong_password", alice.pk),
        ("signed_in", "after_failure", alice.pk),
    ]


def test_a_right_password_that_is_locked_is_not_called_wrong(alice: User) -> None:
    guess()
    PasswordFailures.objects.update(count=100)
    guess(password=PASSWORD)
    assert told()[-1] == ("sign_in_failed", "password_locked", alice.pk)


def test_credentials_without_a_name_are_no_sign_in(alice: User) -> None:
    assert not Client().login(token="made up")
    assert told() == []
