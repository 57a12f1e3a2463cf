"""The commands that an operator types at night."""

from collections.abc import Callable
from datetime import timedelta
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.utils import timezone

from authx.models import DeviceSession, SweepLease
from tests.conftest import Clock
from tests.phone import Phone

pytestmark = pytest.mark.portable

Run = Callable[..., str]


@pytest.fixture
def run() -> Run:
    """Return a function that runs a command and returns what it said."""

    def run_command(*words: str) -> str:
        out = StringIO()
        call_command(*words, stdout=out)
        return out.getvalue().strip()

    return run_command


def count() -> int:
    return DeviceSession.objects.count()


def test_sweep_deletes_what_is_over_and_nothing_else(
    clock: Clock, phone: Phone, tablet: Phone, run: Run
) -> None:
    phone.send("POST", "logout")
    clock.forward(days=7)
    tablet.refresh()
    assert count() == 2
    assert run("sweep") == "Deleted 1 sessions and 0 events."
    assert count() == 1
    assert tablet.refresh().is_signed_in


def test_sweep_keeps_ended_sessions_for_the_retention(clock: Clock, phone: Phone, run: Run) -> None:
    phone.send("POST", "logout")
    clock.forward(days=7, seconds=-1)
    assert run("sweep") == "Deleted 0 sessions and 0 events."
    clock.forward(seconds=1)
    assert run("sweep") == "Deleted 1 sessions and 0 events."


def test_sweep_with_nothing_to_do_deletes_nothing(phone: Phone, run: Run) -> None:
    assert run("sweep") == "Deleted 0 sessions and 0 events."
    assert phone.refresh().is_signed_in


def test_dry_run_counts_what_a_sweep_would_delete_and_deletes_nothing(
    clock: Clock, phone: Phone, tablet: Phone, run: Run
) -> None:
    phone.send("POST", "logout")
    clock.forward(days=7)
    tablet.refresh()
    assert run("sweep", "--dry-run") == "Would delete 1 sessions and 0 events."
    assert count() == 2
    assert run("sweep") == "Deleted 1 sessions and 0 events."


def lease_to_another(duration: timedelta) -> None:
    SweepLease.objects.create(pk=1, owner=uuid4(), leased_until=timezone.now() + duration)


def test_a_second_sweep_steps_aside(clock: Clock, phone: Phone, run: Run) -> None:
    clock.forward(days=37)
    lease_to_another(timedelta(seconds=1))
    assert run("sweep") == "Another sweep is running."
    assert count() == 1
    clock.forward(seconds=1)
    assert run("sweep") == "Deleted 1 sessions and 0 events."


def test_dry_run_needs_not_step_aside(clock: Clock, phone: Phone, run: Run) -> None:
    clock.forward(days=37)
    lease_to_another(timedelta(seconds=1))
    assert run("sweep", "--dry-run") == "Would delete 1 sessions and 0 events."


def test_revoking_the_sessions_of_one_user_keeps_those_of_others(
    phone: Phone, tablet: Phone, bob: User, run: Run
) -> None:
    of_bob = Phone("bob").sign_in()
    assert run("revoke_sessions", "--user", "alice") == "Revoked 2 sessions."
    assert [phone.is_signed_in, tablet.is_signed_in, of_bob.is_signed_in] == [False, False, True]
    assert set(DeviceSession.objects.values_list("user__username", "revoked_reason")) == {
        ("alice", "ended_by_operator"),
        ("bob", ""),
    }


def test_revoking_all_ends_the_sessions_of_all_users(phone: Phone, bob: User, run: Run) -> None:
    of_bob = Phone("bob").sign_in()
    assert run("revoke_sessions", "--all") == "Revoked 2 sessions."
    assert [phone.is_signed_in, of_bob.is_signed_in] == [False, False]
    assert run("revoke_sessions", "--all") == "Revoked 0 sessions."


def test_revoking_does_not_touch_what_had_ended_before(phone: Phone, run: Run) -> None:
    phone.send("POST", "logout")
    assert run("revoke_sessions", "--user", "alice") == "Revoked 0 sessions."
    assert DeviceSession.objects.get().revoked_reason == "signed_out"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--user", "nobody"], "There is no user 'nobody'"),
        (["--user", "Alice"], "There is no user 'Alice'"),
        ([], "required"),
        (["--user", "alice", "--all"], "not allowed with"),
        (["--user"], "expected one argument"),
    ],
)
def test_a_wrong_command_line_ends_nothing(
    phone: Phone, run: Run, words: list[Any], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        run("revoke_sessions", *words)
    assert phone.is_signed_in


def test_an_empty_user_name_selects_no_user(phone: Phone, run: Run) -> None:
    with pytest.raises(CommandError):
        run("revoke_sessions", "--user", "")
    assert phone.is_signed_in
