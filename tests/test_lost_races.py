"""What is done by a process that lost a race: shown step by step, without a rival.

That rivals really meet is shown by processes in test_races.py and test_parallel_refresh.py.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import timedelta
from http import HTTPStatus
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.hashers import PBKDF2PasswordHasher
from django.contrib.auth.models import User
from django.db import connection
from django.db.models import FloatField
from django.db.models.functions import Cast
from django.utils import timezone

from authx import api, devices
from authx.errors import CredentialsChangedError
from authx.models import DeviceSession, PasswordFailures, SweepLease
from authx.passwords import sign_in
from authx.sessions import open as opening
from authx.sessions import refresh, statements, sweep
from authx.sessions.compiled import CompiledSelect, Parameter
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

REFUSED = (HTTPStatus.BAD_REQUEST, "invalid_grant")


@contextmanager
def outdated_first(**changes: Any) -> Iterator[list[DeviceSession | None]]:
    """Let the first read of a session be out of date, as if a rival had been faster."""
    find, reads = statements.find_session, list[DeviceSession | None]()

    def find_outdated(session_id: UUID) -> DeviceSession | None:
        reads.append(find(session_id))
        if len(reads) == 1:
            for name, value in changes.items():
                setattr(reads[0], name, value)
        return reads[-1]

    with mock.patch.object(statements, "find_session", find_outdated):
        yield reads


def test_a_refresh_that_lost_its_update_reads_again(phone: Phone) -> None:
    with outdated_first(digest="ab" * 64) as reads:
        phone.refresh()
    assert len(reads) == 2
    assert DeviceSession.objects.get().generation == 1


def test_a_retry_that_lost_storing_its_access_token_reads_again(clock: Clock, phone: Phone) -> None:
    lost = phone.try_refresh().json()
    clock.forward(days=1)
    with outdated_first(digest="ab" * 64) as reads:
        phone.refresh()
    assert len(reads) == 2
    assert phone.refresh_token == lost["refresh_token"]
    assert phone.is_signed_in
    assert DeviceSession.objects.get().fresh_access_count == 1


def test_a_use_that_lost_its_note_reads_again(phone: Phone) -> None:
    phone.refresh()
    with outdated_first(last_used_at=timezone.now() - timedelta(days=1)) as reads:
        assert phone.is_signed_in
    assert len(reads) == 2


def test_a_successor_that_cannot_be_derived_is_refused_without_an_alarm(phone: Phone) -> None:
    phone.try_refresh()
    DeviceSession.objects.update(refresh_nonce=b"another")
    assert error_of(phone.try_refresh()) == REFUSED
    assert DeviceSession.objects.get().revoked_at is None


@pytest.mark.usefixtures("no_grace_period")
def test_a_reuse_that_a_rival_ended_first_is_logged_once(
    phone: Phone, committed: Any, caplog: Any
) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    with committed(), mock.patch.object(refresh, "revoke_session", return_value=False):
        assert error_of(phone.try_refresh(stolen)) == REFUSED
    assert "authn_token_reuse" not in caplog.text


def test_a_sign_in_whose_password_changed_after_its_check_checks_again(alice: User) -> None:
    opened = [CredentialsChangedError, mock.DEFAULT]
    with mock.patch.object(
        sign_in, "open_session", wraps=opening.open_session, side_effect=opened
    ) as open_session:
        phone = Phone().sign_in()
    assert open_session.call_count == 2
    assert phone.is_signed_in


def test_a_hash_upgrade_for_a_deleted_user_changes_nothing(alice: User, phone: Phone) -> None:
    before = DeviceSession.objects.get().auth_hash
    outdated = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    User.objects.update(password=outdated)
    with mock.patch("authx.passwords.check.lock_user", return_value=None):
        assert authenticate(username="alice", password=PASSWORD) == alice
    assert DeviceSession.objects.get().auth_hash == before


def test_a_long_sweep_keeps_its_lease(clock: Clock, phone: Phone, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 1}
    clock.forward(days=1)
    real, leases = sweep._delete_batch, []

    def slow(*arguments: Any) -> int:
        clock.forward(seconds=31)
        leases.append(SweepLease.objects.get().leased_until - timezone.now())
        return real(*arguments)

    with mock.patch.object(sweep, "_delete_batch", slow):
        sweep.sweep()
    assert min(leases) > timedelta(seconds=20)


def test_a_sweep_that_was_frozen_leaves_the_lease_to_the_one_that_took_over(
    clock: Clock, phone: Phone, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 1}
    clock.forward(days=40)
    real, others = sweep._delete_batch, list[Any]()

    def freeze(*arguments: Any) -> int:
        clock.forward(seconds=61)
        others.append(sweep._take_lease())
        return real(*arguments)

    with mock.patch.object(sweep, "_delete_batch", freeze):
        assert sweep.sweep() == sweep.SweepReport(sessions=1)
    assert "sweep: another one has taken over" in caplog.text
    (other,) = others
    assert SweepLease.objects.get().owner == other.owner
    assert SweepLease.objects.get().leased_until > timezone.now()


def test_rows_of_other_apps_go_with_the_session_they_hang_on(clock: Clock, phone: Phone) -> None:
    clock.forward(days=40)
    with mock.patch.object(sweep, "has_dependants", return_value=True):
        assert sweep.sweep().sessions == 1
    assert DeviceSession.objects.count() == 0


def test_a_lease_says_until_when_it_holds() -> None:
    assert "2026" in str(SweepLease(leased_until=timezone.now().replace(year=2026)))


def test_a_failure_that_lost_its_row_counts_again(alice: User) -> None:
    row = PasswordFailures(user=alice, count=1, fingerprint="of another password")
    lost = [(row, False), mock.DEFAULT]
    manager = PasswordFailures.objects
    with mock.patch.object(
        manager, "get_or_create", wraps=manager.get_or_create, side_effect=lost
    ) as counting:
        Phone().try_sign_in("wrong password")
    assert counting.call_count == 2
    assert PasswordFailures.objects.get().count == 1


def test_statements_go_through_djangos_own_cursor_on_another_database(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    # As on SQLite: values are prepared by their fields, instants are read by Django's loader.
    compiled = (statements._rotate, statements._note_use)
    with ExitStack() as world:
        for one in compiled:
            world.enter_context(mock.patch.dict(one._statements, clear=True))
        world.enter_context(mock.patch.object(connection, "vendor", "another"))
        assert phone.refresh().is_signed_in
        clock.forward(minutes=5)
        assert phone.refresh().is_signed_in


def test_a_compiled_statement_keeps_constants_and_converters(phone: Phone) -> None:
    column: Any = DeviceSession._meta.get_field("name")
    name = Parameter("name", column)
    named = DeviceSession.objects.filter(name=name, generation=0)
    select = CompiledSelect(lambda: named.annotate(number=Cast("generation", FloatField())))
    for vendor, plans in (
        ("another", 0),
        (connection.vendor, int(connection.vendor == "postgresql")),
    ):
        with mock.patch.object(connection, "vendor", vendor):
            found = select.get(using="default", name="phone")
            assert select.get(using="default", name="tablet") is None
        assert isinstance(vars(found)["number"], float)
        assert len(select._plans) == plans


@pytest.fixture
def late_sign_out(phone: Phone) -> Iterator[list[int]]:
    """Sign the phone out beside the next sign-in, and list how often a sign-in looks."""
    # The sign-out comes on the same connection, so that it is undone with what it interrupts.
    look, looks = devices.assess_sign_in, list[int]()

    def look_and_be_late(*named: Any, **more: Any) -> Any:
        seen = look(*named, **more)
        if not looks:
            phone.send("POST", "logout")
        looks.append(1)
        return seen

    with mock.patch.object(opening, "assess_sign_in", look_and_be_late):
        yield looks


def test_a_sign_in_beside_a_sign_out_of_what_it_replaces_decides_anew(
    phone: Phone, late_sign_out: list[int]
) -> None:
    assert Phone(device=phone.device).sign_in().is_signed_in
    assert len(late_sign_out) == 2


def test_a_session_that_a_project_opens_beside_a_sign_out_decides_anew(
    phone: Phone, alice: User, late_sign_out: list[int]
) -> None:
    device = api.Device(**phone.device)
    pair = api.open_session(user=alice, device=device)
    assert len(late_sign_out) == 2
    assert list(api.sessions_of(alice)) == [pair.session]
    stale = User.objects.get()
    alice.set_password("another password of hers")
    alice.save()
    with pytest.raises(api.CredentialsChangedError):
        api.open_session(user=stale, device=device)
