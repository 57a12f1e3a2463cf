"""A node whose own clock is an hour off signs nobody out, and opens nothing for a thief.

The database's clock is the real one here; `node` sets that of the process alone.
"""

from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db.models import F
from django.db.models.functions import Now
from django.utils import timezone

from authx import clock
from authx.audit.links import new_recovery_token, read_recovery_token
from authx.audit.notifications import send_next_notification
from authx.clock import database_now, read_at
from authx.models import DeviceSession, SweepLease
from authx.sessions import sweep as sweep_module
from authx.sessions.sweep import SweepReport, sweep
from tests.guessing import guess, statuses
from tests.phone import Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

HOUR = timedelta(hours=1)
OFF = pytest.mark.parametrize("off", [HOUR, -HOUR], ids=["an hour ahead", "an hour behind"])


@pytest.fixture(autouse=True)
def _real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "database_now", database_now)
    monkeypatch.setattr(clock, "read_at", read_at)


def node(off: timedelta) -> Any:
    """Do the block on a node whose clock is off by this much."""
    return time_machine.travel(timezone.now() + off)


@OFF
def test_a_late_request_to_the_node_with_the_wrong_clock_is_no_reuse(
    phone: Phone, off: timedelta
) -> None:
    straggling = phone.refresh_token
    phone.refresh()
    assert phone.is_signed_in
    with node(off):
        late = phone.try_refresh(straggling)
    assert late.json()["refresh_token"] == phone.refresh_token
    assert phone.refresh().is_signed_in


@OFF
def test_a_late_request_after_a_rotation_by_the_wrong_clock_is_no_reuse(
    phone: Phone, off: timedelta
) -> None:
    straggling = phone.refresh_token
    with node(off):
        phone.refresh()
        assert phone.is_signed_in
    assert phone.try_refresh(straggling).json()["refresh_token"] == phone.refresh_token
    assert phone.refresh().is_signed_in


@OFF
def test_a_wrong_clock_gives_an_attacker_no_longer_grace_period(
    phone: Phone, off: timedelta
) -> None:
    stolen = phone.refresh_token
    with node(off):
        phone.refresh()
        assert phone.is_signed_in
    ago = Now() - timedelta(seconds=10)
    DeviceSession.objects.update(rotated_at=ago, confirmed_at=ago)
    with node(off):
        assert error_of(phone.try_refresh(stolen)) == (400, "invalid_grant")
    assert not phone.is_signed_in


@OFF
def test_what_one_node_issues_the_other_accepts(phone: Phone, off: timedelta) -> None:
    with node(off):
        assert phone.is_signed_in
        assert phone.refresh().is_signed_in
        assert phone.pair["expires_in"] == 900
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in


@OFF
def test_a_sweep_with_the_wrong_clock_deletes_no_live_session(
    phone: Phone, tablet: Phone, off: timedelta
) -> None:
    retention = timedelta(days=7)
    DeviceSession.objects.filter(pk=tablet.session_id).update(
        revoked_at=Now() - retention, revoked_reason="signed_out"
    )
    with node(off):
        assert sweep() == SweepReport(sessions=1)
        assert SweepLease.objects.filter(leased_until__lte=Now()).exists()
    assert phone.refresh().is_signed_in


@OFF
def test_a_sweep_killed_under_the_wrong_clock_blocks_the_others_no_longer(
    phone: Phone, off: timedelta
) -> None:
    with node(off):
        assert sweep_module._take_lease()
    assert sweep() == SweepReport(skipped=True)
    SweepLease.objects.update(leased_until=F("leased_until") - timedelta(seconds=60))
    assert sweep() == SweepReport()


@OFF
def test_a_mailed_link_of_a_worker_with_the_wrong_clock_works_for_half_an_hour(
    alice: User, off: timedelta
) -> None:
    with node(off):
        raw_token = new_recovery_token(alice)
    assert read_recovery_token(raw_token) is not None
    with node(off):
        assert read_recovery_token(raw_token) is not None


@OFF
def test_a_node_with_the_wrong_clock_refuses_a_link_that_has_ended(
    alice: User, off: timedelta, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw_token = new_recovery_token(alice)
    ago = timedelta(minutes=30)
    monkeypatch.setattr(clock, "database_now", lambda: Now() + ago)
    with node(off):
        assert read_recovery_token(raw_token) is None


@OFF
def test_a_sign_in_under_the_wrong_clock_stays_valid(phone: Phone, off: timedelta) -> None:
    with node(off):
        watch = Phone(device={"name": "watch"}).sign_in()
    assert watch.refresh().is_signed_in


def test_a_fast_node_sends_no_mail_that_another_is_sending(phone: Phone) -> None:
    Phone(device={"installation_id": "another"}).sign_in()
    with mock.patch("authx.audit.notifications._send"):
        assert send_next_notification()
    with node(HOUR):
        assert not send_next_notification()


def test_a_wait_is_no_longer_than_its_window_whichever_node_counted(alice: User) -> None:
    with node(HOUR):
        assert statuses(5) == [400] * 5
    assert 1 <= int(guess().headers["Retry-After"]) <= 61
