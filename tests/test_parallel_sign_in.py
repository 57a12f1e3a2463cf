"""Sign-in racing sign-in: the device limit is exact, an installation has one session."""

from typing import Any

import pytest
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User

from authx.models import DeviceSession
from tests.effort import rounds
from tests.phone import PASSWORD, Phone
from tests.processes import Processes

pytestmark = [
    pytest.mark.no_cover,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    # More at once than any phone or household does.
    pytest.mark.usefixtures("without_limits"),
]

PROCESSES = 8
ROUNDS = rounds(2, 10)


def sign_in(installation_id: str) -> tuple[int, dict[str, Any]]:
    response = Phone(device={"installation_id": installation_id}).try_sign_in()
    return response.status_code, response.json()


def refresh(token: str) -> tuple[int, dict[str, Any]]:
    response = Phone().try_refresh(token)
    return response.status_code, response.json()


def live_sessions() -> list[DeviceSession]:
    return list(DeviceSession.objects.unrevoked().order_by("-created_at"))


def test_parallel_sign_ins_leave_exactly_the_limit_and_the_newest_in(
    alice: User, settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 3}
    with Processes(PROCESSES) as processes:
        for _ in range(ROUNDS):
            answers = processes.together([(sign_in, ("",))] * PROCESSES)
            assert [status for status, _ in answers] == [200] * PROCESSES
            newest = DeviceSession.objects.order_by("-created_at")[:3]
            assert live_sessions() == list(newest)
            assert sum(Phone(pair=pair).is_signed_in for _, pair in answers) == 3


def test_parallel_sign_ins_of_one_installation_leave_one_session(alice: User) -> None:
    with Processes(PROCESSES) as processes:
        for _ in range(ROUNDS):
            answers = processes.together([(sign_in, ("phone",))] * PROCESSES)
            assert [status for status, _ in answers] == [200] * PROCESSES
            assert len(live_sessions()) == 1
            assert sum(Phone(pair=pair).is_signed_in for _, pair in answers) == 1


def test_sign_ins_at_the_limit_and_rotations_do_not_deadlock(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 4}
    half = PROCESSES // 2
    with Processes(PROCESSES) as processes:
        for _ in range(ROUNDS * 2):
            phones = [Phone(device={}).sign_in() for _ in range(half)]
            rotations = [(refresh, (phone.refresh_token,)) for phone in phones]
            answers = processes.together([*rotations, *[(sign_in, ("",))] * half])
            assert {status for status, _ in answers[:half]} <= {200, 400}
            assert [status for status, _ in answers[half:]] == [200] * half
            assert len(live_sessions()) == 4


def test_parallel_sign_ins_that_upgrade_the_password_hash_end_no_session(
    alice: User, phone: Phone
) -> None:
    outdated = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    with Processes(PROCESSES) as processes:
        for number in range(ROUNDS):
            User.objects.update(password=outdated)
            hashed = User.objects.get().get_session_auth_hash()
            DeviceSession.objects.unrevoked().update(auth_hash=hashed)
            names = [f"{number}/{other}" for other in range(PROCESSES - 1)]
            answers = processes.together(
                [(refresh, (phone.refresh_token,)), *[(sign_in, (name,)) for name in names]]
            )
            assert [status for status, _ in answers] == [200] * PROCESSES
            phone.pair = answers[0][1]
            assert all(Phone(pair=pair).is_signed_in for _, pair in answers)
            assert phone.refresh().is_signed_in
