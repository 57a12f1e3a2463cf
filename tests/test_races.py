"""What ends sessions, racing what prolongs them: nothing survives that should not, no 5xx.

Processes race on PostgreSQL: a few rounds in the gate, hundreds in `make soak`.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.utils import timezone

from authx.models import DeviceSession
from authx.rest.serializers import PairSerializer
from authx.sessions.open import open_session
from authx.sessions.sweep import sweep
from authx.sessions.values import Device
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

ROUNDS = rounds(8, 200)
VARIANT_ROUNDS = rounds(4, 50)
NEW_PASSWORD = "another horse entirely, honest"


def refresh(token: str) -> tuple[int, dict[str, Any]]:
    response = Phone().try_refresh(token)
    return response.status_code, response.json()


def send(pair: dict[str, Any], method: str, path: str, body: Any = None) -> int:
    return Phone(pair=pair).send(method, path, body).status_code


def deactivate(user_id: int) -> int:
    user = User.objects.get(pk=user_id)
    user.is_active = False
    user.save()
    return 200


def sign_in(username: str, installation_id: str) -> int:
    return Phone(username, {"installation_id": installation_id}).try_sign_in().status_code


def sweep_now() -> int:
    sweep()
    return 200


@pytest.fixture
def processes(settings: Any) -> Iterator[Processes]:
    # What ends is swept at once; set before the fork, which takes the settings along.
    settings.AUTHX = settings.AUTHX | {"SWEEP_RETENTION": timedelta(0)}
    with Processes(2) as processes:
        yield processes


@pytest.fixture
def race(
    processes: Processes, new_user: Callable[[str], User]
) -> Callable[[int, Callable[[User, Phone, Phone], Any], int], None]:
    """Return a function that runs one round: a phone refreshes while something else happens."""

    def run(number: int, rival: Callable[[User, Phone, Phone], Any], succeeds: int) -> None:
        user = new_user(f"user {number}")
        # The phone is the least recently used of the two.
        phone, tablet = opened(user, "phone"), opened(user, "tablet")
        (refreshed, pair), ended = processes.together(
            [(refresh, (phone.refresh_token,)), rival(user, phone, tablet)]
        )
        assert ended == succeeds
        assert refreshed in (200, 400)
        survivor = Phone(pair=pair) if refreshed == 200 else phone
        assert_signed_out(survivor)

    return run


def opened(user: User, installation_id: str) -> Phone:
    """Return a phone signed in without HTTP, which is not what is tried here."""
    pair = open_session(user=user, device=Device(installation_id))
    return Phone(
        user.username, {"installation_id": installation_id}, dict(PairSerializer(pair).data)
    )


def assert_signed_out(phone: Phone) -> None:
    assert phone.call().status_code == 401
    assert phone.try_refresh().status_code == 400


@pytest.mark.parametrize("path", ["logout", "logout-all"])
def test_nothing_of_a_refresh_survives_a_logout_beside_it(race: Any, path: str) -> None:
    done = {"logout": 204, "logout-all": 200}[path]
    for number in range(ROUNDS):
        race(number, lambda _, phone, __: (send, (phone.pair, "POST", path, {})), done)


def test_nothing_of_a_refresh_survives_a_logout_all_from_another_device(race: Any) -> None:
    for number in range(VARIANT_ROUNDS):
        race(number, lambda _, __, tablet: (send, (tablet.pair, "POST", "logout-all", {})), 200)


def test_nothing_of_a_refresh_survives_a_password_change_on_another_device(race: Any) -> None:
    body = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    for number in range(ROUNDS):
        race(number, lambda _, __, tablet: (send, (tablet.pair, "POST", "password", body)), 200)


def test_nothing_of_a_refresh_survives_a_deactivation(race: Any) -> None:
    for number in range(ROUNDS):
        race(number, lambda user, _, __: (deactivate, (user.pk,)), 200)


def test_nothing_of_a_refresh_survives_its_replacement_by_the_same_installation(race: Any) -> None:
    for number in range(VARIANT_ROUNDS):
        race(number, lambda user, _, __: (sign_in, (user.username, "phone")), 200)


def test_nothing_of_a_refresh_survives_its_eviction(
    new_user: Callable[[str], User], settings: Any
) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 1}
    with Processes(2) as processes:
        for number in range(ROUNDS):
            phone = Phone(new_user(f"user {number}").username).sign_in()
            (refreshed, pair), entered = processes.together(
                [(refresh, (phone.refresh_token,)), (sign_in, (phone.username, "watch"))]
            )
            assert (refreshed in (200, 400), entered) == (True, 200)
            assert_signed_out(Phone(pair=pair) if refreshed == 200 else phone)


def test_a_sweep_beside_a_refresh_deletes_no_session_that_was_prolonged(
    processes: Processes, alice: User, settings: Any
) -> None:
    for _ in range(ROUNDS):
        phone = Phone().sign_in()
        about_now = timezone.now() + timedelta(milliseconds=4)
        DeviceSession.objects.filter(pk=phone.session_id).update(idle_expires_at=about_now)
        (status, pair), _ = processes.together([(refresh, (phone.refresh_token,)), (sweep_now, ())])
        assert status in (200, 400)
        survivor = Phone(pair=pair if status == 200 else phone.pair)
        assert survivor.is_signed_in == (status == 200)


def test_a_request_beside_a_logout_is_answered_or_refused_but_never_fails(
    processes: Processes, alice: User, settings: Any
) -> None:
    for _ in range(VARIANT_ROUNDS):
        phone = Phone().sign_in()
        used, ended = processes.together(
            [
                (send, (phone.pair, "GET", "me")),
                (send, (phone.pair, "POST", "logout")),
            ]
        )
        assert used in (200, 401)
        assert ended == 204
        assert_signed_out(phone)


def test_two_logouts_everywhere_beside_refreshes_do_not_deadlock(alice: User) -> None:
    with Processes(6) as processes:
        for _ in range(VARIANT_ROUNDS):
            phones = [Phone(device={}).sign_in() for _ in range(4)]
            answers = processes.together(
                [
                    *[(send, (phone.pair, "POST", "logout-all", {})) for phone in phones[:2]],
                    *[(refresh, (phone.refresh_token,)) for phone in phones],
                ]
            )
            assert set(answers[:2]) <= {200, 401}
            assert {status for status, _ in answers[2:]} <= {200, 400}
            assert not any(DeviceSession.objects.unrevoked())


def delete_person(user_id: int) -> int:
    User.objects.get(pk=user_id).delete()
    return 200


@pytest.mark.parametrize("retries", [False, True])
def test_a_user_is_deleted_beside_a_refresh_and_nothing_fails(
    processes: Processes, new_user: Callable[[str], User], retries: bool
) -> None:
    for number in range(VARIANT_ROUNDS):
        user = new_user(f"user {number}")
        phone = Phone(user.username).sign_in()
        if retries:
            # The retry has to write a fresh access token.
            phone.try_refresh()
            DeviceSession.objects.filter(user=user).update(expiry="2026-01-01T00:00Z")
        (refreshed, _), deleted = processes.together(
            [(refresh, (phone.refresh_token,)), (delete_person, (user.pk,))]
        )
        assert (refreshed in (200, 400), deleted) == (True, 200)
        assert not User.objects.filter(pk=user.pk).exists()
        assert_signed_out(phone)
