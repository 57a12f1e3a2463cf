"""A user is told of a device that their account was not used on before, and of no other."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from authx.models import DeviceSession, SecurityEvent
from authx.sessions.sweep import sweep
from tests.conftest import Clock
from tests.phone import Phone
from tests.processes import Processes

pytestmark = pytest.mark.django_db


def news() -> int:
    return SecurityEvent.objects.filter(kind="new_device").count()


def test_the_first_sign_in_of_an_account_sends_no_notification(alice: User) -> None:
    Phone().sign_in()
    assert news() == 0


def test_an_account_used_before_the_audit_trail_has_no_first_sign_in(
    alice: User,
) -> None:
    # Swept away, or of the years before: Django remembers that there was one.
    User.objects.update(last_login=timezone.now())
    Phone().sign_in()
    assert news() == 1


def test_each_new_device_sends_one_notification(phone: Phone) -> None:
    another = Phone(device={"installation_id": "another"})
    for _ in range(3):
        another.sign_in()
        phone.sign_in()
    assert news() == 1
    event = SecurityEvent.objects.get(kind="new_device")
    assert event.installation_id == "another"


def test_what_an_app_calls_its_device_does_not_make_it_known(phone: Phone) -> None:
    Phone(device=phone.device).sign_in()
    assert news() == 1


def test_a_device_is_known_whatever_it_calls_itself(phone: Phone) -> None:
    phone.device = {"installation_id": "installed anew", "platform": "another"}
    phone.sign_in()
    assert news() == 0


def test_a_device_stays_known_when_its_sessions_are_swept(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    clock.forward(days=170)
    sweep()
    assert not DeviceSession.objects.exists()
    phone.sign_in()
    assert news() == 0


def test_a_device_stays_known_by_its_session_alone(clock: Clock, phone: Phone) -> None:
    for _ in range(7):
        clock.forward(days=25)
        phone.refresh()
    clock.forward(days=5)
    sweep()
    assert not SecurityEvent.objects.exists()
    phone.sign_in()
    assert news() == 0
    Phone().sign_in()
    assert news() == 1


def test_a_device_is_forgotten_with_its_last_event(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    clock.forward(days=181)
    sweep()
    User.objects.update(last_login=timezone.now())
    phone.sign_in()
    assert news() == 1


def test_a_device_of_another_user_is_new_to_this_one(phone: Phone, bob: User) -> None:
    Phone("bob").sign_in()
    Phone("bob", credential=phone.credential).sign_in()
    assert news() == 1


def test_a_device_is_known_to_each_user_whose_credential_it_has(phone: Phone, bob: User) -> None:
    of_bob = Phone("bob", phone.device).sign_in()
    phone.sign_in()
    of_bob.sign_in()
    assert news() == 0


def test_a_failed_sign_in_makes_no_known_device(phone: Phone) -> None:
    another = Phone(device={"installation_id": "another"})
    another.try_sign_in("wrong password")
    another.sign_in()
    assert news() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_parallel_sign_ins_of_known_devices_send_no_notification(
    phone: Phone, new_user: Callable[[str], User], without_limits: None
) -> None:
    known = [Phone(device={"installation_id": f"number {n}"}).sign_in() for n in range(5)]
    before = news()
    with Processes(6) as processes:
        for one in known:
            processes.together([(_sign_in_beside, (one.device, one.credential))] * 6)
    assert before == news() == 5


def _sign_in_beside(device: dict[str, str], credential: str) -> None:
    Phone(device=device, credential=credential).sign_in()
