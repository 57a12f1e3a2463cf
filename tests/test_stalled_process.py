"""A node that hangs between what it reads and what it writes decides anew when it goes on.

The database's clock is the real one here; the row says that it was read some time ago.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any
from unittest import mock
from uuid import UUID

import pytest

from authx import clock
from authx.clock import read_at
from authx.models import DeviceSession
from authx.sessions import statements
from tests.phone import Phone

pytestmark = [pytest.mark.postgresql, pytest.mark.django_db]


@pytest.fixture(autouse=True)
def _real_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clock, "read_at", read_at)


@contextmanager
def frozen_after_its_read(seconds: float) -> Iterator[list[DeviceSession | None]]:
    """Let the first read of a session lie so far back when it is acted on."""
    find, reads = statements.find_session, list[DeviceSession | None]()

    def find_frozen(session_id: UUID) -> DeviceSession | None:
        session = find(session_id)
        if not reads and session is not None:
            vars(session)["read_at"] -= timedelta(seconds=seconds)
        reads.append(session)
        return session

    with mock.patch.object(statements, "find_session", find_frozen):
        yield reads


def columns(*names: str) -> Any:
    return DeviceSession.objects.values_list(*names).get()


@pytest.mark.parametrize(("seconds", "reads"), [(1, 1), (3, 2), (16 * 60, 2)])
def test_a_rotation_is_dated_when_it_is_written(phone: Phone, seconds: float, reads: int) -> None:
    (before,) = columns("rotated_at")
    with frozen_after_its_read(seconds) as found:
        phone.refresh()
    assert len(found) == reads
    (rotated_at,) = columns("rotated_at")
    assert rotated_at > before - timedelta(seconds=2)
    assert phone.pair["expires_in"] >= 15 * 60 - 2
    assert phone.is_signed_in


def test_a_fresh_access_token_is_dated_when_it_is_written(phone: Phone) -> None:
    phone.try_refresh()
    DeviceSession.objects.update(expiry="2026-01-01T00:00Z")
    with frozen_after_its_read(16 * 60) as found:
        phone.refresh()
    assert len(found) == 2
    assert phone.is_signed_in


def test_a_first_use_is_dated_when_it_is_written(phone: Phone) -> None:
    phone.refresh()
    with frozen_after_its_read(60) as found:
        assert phone.is_signed_in
    assert len(found) == 2
    confirmed_at, rotated_at = columns("confirmed_at", "rotated_at")
    assert confirmed_at >= rotated_at


def test_a_use_that_came_between_read_and_rotation_is_not_taken_back(phone: Phone) -> None:
    phone.refresh()
    rotate, used = statements.rotate, list[Any]()

    def rotate_late(*named: Any) -> None:
        if not used:
            phone.call()
            used.append(columns("confirmed_at", "last_used_at"))
        rotate(*named)

    with mock.patch.object(statements, "rotate", rotate_late):
        phone.try_refresh()
    assert columns("generation", "last_used_at") >= (2, used[0][1])
