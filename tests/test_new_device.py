"""A user is told of a device that their account was not used on before, and of no other."""

from collections.abc import Callable

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from authx.devices import is_known_device
from authx.models import DeviceSession, SecurityEvent
from authx.sessions.sweep import sweep
from tests.conftest import Clock
from tests.phone import Phone
from tests.processes import Processes

pytestmark = pytest.mark.django_db


def news() -> int:
    return SecurityEvent.objects.filter(kind="new_device").count()


def sign_in(agent: str = "App/1", **device: str) -> None:
    body = {"username": "alice", "password": "correct horse battery staple", "device": device}
    answer = Phone().send("POST", "login", body, headers={"user-agent": agent})
    assert answer.status_code == 200, answer.content


def test_the_first_sign_in_of_an_account_sends_no_notification(alice: User) -> None:
    sign_in(installation_id="phone")
    assert news() == 0


def test_an_account_used_before_the_audit_trail_has_no_first_sign_in(
    alice: User,
) -> None:
    # Swept away, or of the years before: Django remembers that there was one.
    User.objects.update(last_login=timezone.now())
    sign_in(installation_id="phone")
    assert news() == 1


def test_each_new_installation_sends_one_notification(phone: Phone) -> None:
    for _ in range(3):
        sign_in(installation_id="another")
        sign_in(installation_id="phone")
    assert news() == 1
    event = SecurityEvent.objects.get(kind="new_device")
    assert event.installation_id == "another"


def test_an_installation_is_remembered_when_its_sessions_are_swept(
    clock: Clock, phone: Phone
) -> None:
    phone.send("POST", "logout")
    clock.forward(days=170)
    sweep()
    assert not DeviceSession.objects.exists()
    sign_in(installation_id="phone")
    assert news() == 0


def test_an_installation_is_remembered_by_its_session_alone(clock: Clock, phone: Phone) -> None:
    for _ in range(7):
        clock.forward(days=25)
        phone.refresh()
    clock.forward(days=5)
    sweep()
    assert not SecurityEvent.objects.exists()
    sign_in(installation_id="another")
    sign_in(installation_id="phone")
    assert news() == 1


@pytest.mark.parametrize(
    ("agent", "device", "expected"),
    [
        ("App/1", {"platform": "iOS"}, 0),
        ("App/1", {"platform": "iOS", "name": "renamed"}, 0),
        ("App/2", {"platform": "iOS"}, 1),
        ("App/1", {"platform": "Android"}, 1),
        ("App/1", {"platform": "iOS", "installation_id": "another"}, 1),
    ],
)
def test_without_an_installation_id_platform_and_user_agent_have_to_do(
    alice: User, agent: str, device: dict[str, str], expected: int
) -> None:
    sign_in("App/1", platform="iOS")
    sign_in(agent, **device)
    assert news() == expected


def test_an_installation_of_another_user_is_new_to_this_one(alice: User, bob: User) -> None:
    Phone("bob", {"installation_id": "shared"}).sign_in()
    sign_in(installation_id="mine")
    sign_in(installation_id="shared")
    assert news() == 1


def test_an_installation_is_known_to_each_user_who_signed_in_on_it(
    clock: Clock, phone: Phone, alice: User, bob: User
) -> None:
    def known(user: User, installation_id: str) -> bool:
        return is_known_device(user_id=user.pk, installation_id=installation_id)

    assert known(alice, "phone")
    assert not known(bob, "phone")
    assert not known(alice, "another")
    assert not known(alice, "")
    clock.forward(days=40)
    sweep()
    assert known(alice, "phone")


def test_a_failed_sign_in_makes_no_known_device(phone: Phone, alice: User) -> None:
    Phone(device={"installation_id": "another"}).try_sign_in("wrong password")
    assert not is_known_device(user_id=alice.pk, installation_id="another")
    sign_in(installation_id="another")
    assert news() == 1


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_parallel_sign_ins_of_one_new_installation_send_one_notification(
    phone: Phone, new_user: Callable[[str], User], without_limits: None
) -> None:
    with Processes(6) as processes:
        for number in range(5):
            device = {"installation_id": f"another {number}"}
            processes.together([(_sign_in_beside, (device,))] * 6)
    assert news() == 5


def _sign_in_beside(device: dict[str, str]) -> None:
    Phone(device=device).sign_in()
