"""A server that shows local time keeps every lifetime, also where the clocks are changed."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.utils import timezone

from authx.audit.links import new_recovery_token, read_recovery_token
from authx.sessions.sweep import SweepReport, sweep
from tests.phone import Phone

SECOND = timedelta(seconds=1)
# Of Chicago: clocks go from two to three in March, and from two back to one in November.
SPRING = datetime(2026, 3, 8, 8, tzinfo=UTC)
AUTUMN = datetime(2026, 11, 1, 7, tzinfo=UTC)

pytestmark = [
    pytest.mark.portable,
    pytest.mark.parametrize("change", [SPRING, AUTUMN], ids=["spring", "autumn"]),
]


@pytest.fixture(autouse=True)
def _chicago(settings: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    settings.TIME_ZONE = "America/Chicago"
    with monkeypatch.context() as patch:
        # As Django does when it reads its settings.
        patch.setenv("TZ", settings.TIME_ZONE)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def phone(alice: User, change: datetime) -> Phone:
    """Alice's phone, signed in a minute before the clocks change."""
    with at(change - timedelta(minutes=1)):
        return Phone().sign_in()


def at(instant: datetime) -> time_machine.travel:
    # A number: an instant with a time zone would change that of the process.
    return time_machine.travel(instant.timestamp(), tick=False)


def test_the_clocks_do_change_here(change: datetime) -> None:
    before, after = timezone.localtime(change - SECOND), timezone.localtime(change)
    assert before.utcoffset() != after.utcoffset()


@pytest.mark.parametrize(("off", "signed_in"), [(-SECOND, True), (0 * SECOND, False)])
def test_an_access_token_lives_its_quarter_of_an_hour(
    phone: Phone, change: datetime, off: timedelta, *, signed_in: bool
) -> None:
    assert phone.pair["expires_in"] == 900
    with at(change + timedelta(minutes=14) + off):
        assert phone.is_signed_in is signed_in


@pytest.mark.parametrize(("off", "status"), [(-SECOND, 200), (0 * SECOND, 400)])
def test_a_refresh_token_lives_its_thirty_days(
    phone: Phone, change: datetime, off: timedelta, status: int
) -> None:
    with at(change - timedelta(minutes=1) + timedelta(days=30) + off):
        assert phone.try_refresh().status_code == status


@pytest.mark.parametrize(("seconds", "status"), [(9, 200), (10, 400)])
def test_a_superseded_access_token_has_its_grace_period(
    phone: Phone, change: datetime, seconds: int, status: int
) -> None:
    straggling = phone.refresh_token
    with at(change - SECOND):
        assert phone.refresh().is_signed_in
    with at(change - SECOND + seconds * SECOND):
        assert phone.try_refresh(straggling).status_code == status


@pytest.mark.parametrize(("off", "works"), [(-SECOND, True), (0 * SECOND, False)])
def test_a_mailed_link_works_for_half_an_hour(
    alice: User, change: datetime, off: timedelta, *, works: bool
) -> None:
    with at(change - timedelta(minutes=1)):
        raw_token = new_recovery_token(alice)
    with at(change + timedelta(minutes=29) + off):
        assert (read_recovery_token(raw_token) is not None) is works


def test_a_sweep_takes_what_has_expired_and_no_more(phone: Phone, change: datetime) -> None:
    over_at = change - timedelta(minutes=1) + timedelta(days=37)
    with at(over_at - SECOND):
        assert sweep() == SweepReport()
    with at(over_at):
        assert sweep() == SweepReport(sessions=1)
