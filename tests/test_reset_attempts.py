"""Unlocking clears the counts of every device that an account knows."""

import pytest
from django.contrib.auth.models import User

from authx.api import reset_attempts
from authx.models import DeviceSession
from tests.conftest import Clock
from tests.guessing import guess, statuses
from tests.phone import Phone

pytestmark = pytest.mark.django_db

FULL = 429


def test_a_device_whose_session_is_swept_is_cleared(
    clock: Clock, phone: Phone, alice: User
) -> None:
    DeviceSession.objects.all().delete()
    assert statuses(6, installation="phone")[-1] == FULL
    reset_attempts(alice)
    assert guess(installation="phone").status_code == 400


def test_a_device_without_a_name_is_cleared(clock: Clock, alice: User) -> None:
    unnamed = Phone(device={}).sign_in()
    body = {"current_password": "wrong", "new_password": "another long passphrase"}
    answers = [unnamed.send("POST", "password", body).status_code for _ in range(6)]
    assert answers[-1] == FULL
    reset_attempts(alice)
    assert unnamed.send("POST", "password", body).status_code == 400


def test_the_devices_of_others_are_not_cleared(clock: Clock, phone: Phone) -> None:
    assert statuses(6, installation="phone")[-1] == FULL
    reset_attempts(User.objects.create_user("bob"))
    assert guess(installation="phone").status_code == FULL
