"""The sweep: deletes what no longer matters, in bounded batches, and never anything else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection, transaction
from django.db.models import QuerySet
from django.utils import timezone
from hypothesis import given, settings
from hypothesis import strategies as st
from pytest_django import Settings

from authx.models import DeviceSession, SweepLease
from authx.sessions.sweep import MIN_BATCH, SweepReport, _next_size, _pause_after, sweep
from tests.conftest import NOON, Clock, Statements
from tests.effort import rounds
from tests.phone import Phone, error_of

pytestmark = pytest.mark.portable

RETENTION = timedelta(days=7)
FAR = timedelta(days=20)
MICROSECOND = timedelta(microseconds=1)
# Around the boundary, and anywhere.
OFFSETS = st.integers(-3, 3).map(lambda n: n * MICROSECOND) | st.timedeltas(-FAR, FAR)


def a_session(user: User, idle_ends_at: datetime, revoked_at: datetime | None = None) -> str:
    """Insert a session whose tokens nobody holds, and return its id."""
    session = DeviceSession.objects.create(
        user=user,
        digest=uuid4().hex,
        expiry=idle_ends_at,
        access_nonce=b"n" * 16,
        refresh_digest=uuid4().hex,
        auth_hash="hash",
        idle_expires_at=idle_ends_at,
        absolute_expires_at=idle_ends_at + FAR,
        revoked_at=revoked_at,
        revoked_reason="signed_out" if revoked_at else "",
    )
    return str(session.pk)


def ids_of(rows: QuerySet[DeviceSession]) -> set[str]:
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def test_a_sweep_goes_in_batches_of_one_statement(
    alice: User,
    clock: Clock,
    settings: Settings,
    statements: Callable[[], Statements],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 2}
    # However slow this machine is, the next batch may be larger.
    monkeypatch.setattr("authx.sessions.sweep.BATCH_SECONDS", 60)
    now = timezone.now()
    kept = a_session(alice, now + FAR)
    for _ in range(5):
        a_session(alice, now - RETENTION)
    with statements() as sql:
        assert sweep() == SweepReport(sessions=5)
    # Beside the lease, which is taken, noted and given back.
    lease = [statement for statement in sql.sql if "authx_sweeplease" in statement]
    assert len(lease) <= 4
    # Two sessions, then, in a batch that grew, the rest; a look at notices and at events.
    assert len(sql.sql) - len(lease) == 2 + 2
    assert [one.count("LIMIT 2") for one in sql.sql if "DELETE" in one][:2] == [1, 0]
    assert ids_of(DeviceSession.objects.all()) == {kept}


@pytest.mark.parametrize(
    ("size", "seconds", "next_size"),
    [
        (1000, 0.01, 1000),
        (1000, 0.005, 2000),
        (1000, 0.0001, 4000),
        (4000, 0.02, 2000),
        (4000, 60.0, 1000),
        (250_000, 0.001, 250_000),
        (700, 60.0, 500),
        (500, 60.0, 500),
        # Wished smaller or larger by the setting: so it begins, and so it may stay.
        (2, 60.0, 2),
        (300_000, 0.001, 300_000),
    ],
)
def test_batches_grow_and_shrink_towards_ten_milliseconds(
    size: int, seconds: float, next_size: int
) -> None:
    assert _next_size(size, seconds, MIN_BATCH) == next_size


def test_batches_stay_large_however_slow_they_are(
    alice: User,
    clock: Clock,
    statements: Callable[[], Statements],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # As beside a dump of an hour, which keeps PostgreSQL from skipping the rows that are deleted.
    monkeypatch.setattr("authx.sessions.sweep.BATCH_SECONDS", 0)
    monkeypatch.setattr("authx.sessions.sweep.sleep", lambda _: None)
    ended = DeviceSession.objects.get(pk=a_session(alice, timezone.now() - RETENTION))
    for number in range(2499):
        ended.pk, ended.digest, ended.refresh_digest = uuid4(), f"a{number}", f"r{number}"
        ended.save(force_insert=True)
    with statements() as sql:
        assert sweep() == SweepReport(sessions=2500)
    of_sessions = [one for one in sql.sql if one.startswith('DELETE FROM "authx_devicesession"')]
    # 1,000, three times 500, and a look that finds nothing.
    assert len(of_sessions) == 5


@pytest.mark.parametrize(("seconds", "pause"), [(0.01, 0.09), (0.1, 0.9), (60.0, 1.0)])
def test_a_pause_is_longer_than_its_batch_but_does_not_cost_the_lease(
    seconds: float, pause: float
) -> None:
    assert _pause_after(seconds) == pytest.approx(pause)


def test_a_sweep_rests_between_two_batches(
    alice: User, clock: Clock, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 2}
    monkeypatch.setattr("authx.sessions.sweep.BATCH_SECONDS", 0)
    pauses: list[float] = []
    monkeypatch.setattr("authx.sessions.sweep.sleep", pauses.append)
    for _ in range(5):
        a_session(alice, timezone.now() - RETENTION)
    assert sweep() == SweepReport(sessions=5)
    assert len(pauses) == 2
    assert min(pauses) > 0


def test_nothing_to_do_costs_one_look_a_table(
    phone: Phone, statements: Callable[[], Statements]
) -> None:
    with statements() as sql:
        assert sweep() == SweepReport()
    assert len([statement for statement in sql.sql if "sweeplease" not in statement]) == 3
    assert phone.is_signed_in


@pytest.mark.django_db
@settings(max_examples=rounds(10, 200))
@given(offsets=st.lists(st.tuples(OFFSETS, st.none() | OFFSETS), max_size=8))
def test_exactly_the_sessions_that_ended_before_the_retention_go(
    offsets: list[tuple[timedelta, timedelta | None]],
) -> None:
    cutoff = NOON - RETENTION
    with time_machine.travel(NOON, tick=False):
        user = User.objects.create(username=uuid4().hex)
        live: set[str] = set()
        dead: set[str] = set()
        for idle, revoked in offsets:
            made = a_session(user, cutoff + idle, None if revoked is None else cutoff + revoked)
            over = idle if revoked is None else min(idle, revoked)
            (live if over > timedelta(0) else dead).add(made)
        assert sweep() == SweepReport(sessions=len(dead))
        assert ids_of(DeviceSession.objects.all()) == live
        user.delete()


def test_a_revoked_session_is_kept_for_the_retention(clock: Clock, phone: Phone) -> None:
    phone.send("POST", "logout")
    clock.forward(days=7, microseconds=-1)
    assert sweep().sessions == 0
    clock.forward(microseconds=1)
    assert sweep().sessions == 1
    assert not DeviceSession.objects.exists()


def test_an_expired_session_is_kept_for_the_retention(clock: Clock, phone: Phone) -> None:
    clock.forward(days=37, microseconds=-1)
    assert sweep() == SweepReport()
    clock.forward(microseconds=1)
    assert sweep() == SweepReport(sessions=1)
    assert not DeviceSession.objects.exists()
    assert error_of(phone.try_refresh()) == (HTTPStatus.BAD_REQUEST, "invalid_grant")


@pytest.mark.parametrize("days", [0, 1, 30])
def test_a_session_whose_end_moved_is_swept_on_the_right_day(
    clock: Clock, phone: Phone, settings: Settings, days: int
) -> None:
    clock.forward(days=20)
    phone.refresh()
    # The retention is changed after the last write of the row.
    settings.AUTHX = settings.AUTHX | {"SWEEP_RETENTION": timedelta(days=days)}
    clock.forward(days=30 + days, microseconds=-1)
    assert sweep() == SweepReport()
    clock.forward(microseconds=1)
    assert sweep() == SweepReport(sessions=1)


def test_a_sweep_does_not_affect_a_session_in_use(
    clock: Clock, phone: Phone, tablet: Phone
) -> None:
    for _ in range(20):
        clock.forward(days=8)
        assert sweep().sessions == 0
        assert phone.refresh().is_signed_in
        assert sweep() == SweepReport()
        assert phone.is_signed_in
        tablet.refresh()


def test_a_lost_answer_is_still_given_after_a_sweep(clock: Clock, phone: Phone) -> None:
    lost = phone.try_refresh().json()
    clock.forward(days=29)
    assert sweep() == SweepReport()
    again = phone.try_refresh().json()
    assert again["refresh_token"] == lost["refresh_token"]
    phone.pair = again
    assert phone.is_signed_in


def test_a_theft_is_still_caught_after_a_sweep_in_between(clock: Clock, phone: Phone) -> None:
    stolen = phone.refresh_token
    for _ in range(3):
        clock.forward(days=8)
        phone.refresh()
        sweep()
    assert error_of(phone.try_refresh(stolen)) == (HTTPStatus.BAD_REQUEST, "invalid_grant")
    assert DeviceSession.objects.get().revoked_reason == "reuse_detected"
    assert not phone.is_signed_in


@contextmanager
def locked_elsewhere(rows: QuerySet[Any]) -> Iterator[None]:
    """Hold these rows in another connection, as a request in the middle of its work does."""
    held, done = threading.Event(), threading.Event()

    def hold() -> None:
        with transaction.atomic():
            assert list(rows.select_for_update(no_key=True).values_list("pk"))
            held.set()
            done.wait(timeout=30)
        connection.close()

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(timeout=10)
    yield
    done.set()
    thread.join()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_locked_row_is_left_for_the_next_sweep(alice: User) -> None:
    now = timezone.now()
    live = a_session(alice, now + FAR)
    ended = [a_session(alice, now - FAR) for _ in range(3)]
    with locked_elsewhere(DeviceSession.objects.filter(pk=ended[1])):
        assert sweep() == SweepReport(sessions=2)
        assert ids_of(DeviceSession.objects.all()) == {live, ended[1]}
    assert sweep() == SweepReport(sessions=1)
    assert ids_of(DeviceSession.objects.all()) == {live}


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_locked_lease_keeps_no_worker_waiting(alice: User) -> None:
    a_session(alice, timezone.now() - FAR)
    SweepLease.objects.create(pk=1, owner=uuid4(), leased_until=timezone.now())
    with locked_elsewhere(SweepLease.objects.all()):
        assert sweep() == SweepReport(skipped=True)
    assert sweep() == SweepReport(sessions=1)


NOTES_ITS_COMMIT = """
CREATE TABLE seen (setting text);
CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS
  $$BEGIN INSERT INTO seen SELECT current_setting('synchronous_commit'); RETURN OLD; END$$;
CREATE TRIGGER noting AFTER DELETE ON authx_devicesession FOR EACH ROW EXECUTE FUNCTION note();
"""


@pytest.fixture
def commits() -> Iterator[Callable[[], list[str]]]:
    """Return a function that tells with which synchronous_commit each row was deleted."""
    with connection.cursor() as cursor:
        cursor.execute(NOTES_ITS_COMMIT)
        # The server of the tests has no disk to wait for.
        cursor.execute("SET synchronous_commit = on")

        def seen() -> list[str]:
            cursor.execute("SELECT setting FROM seen")
            return [setting for (setting,) in cursor.fetchall()]

        yield seen
        cursor.execute("DROP TABLE seen; DROP FUNCTION note CASCADE; RESET synchronous_commit")


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_batch_waits_for_no_disk_and_nothing_else_commits_like_that(
    alice: User, commits: Callable[[], list[str]]
) -> None:
    a_session(alice, timezone.now() - FAR)
    assert sweep() == SweepReport(sessions=1)
    assert commits() == ["off"]
    a_session(alice, timezone.now() - FAR)
    with transaction.atomic():
        assert sweep() == SweepReport(sessions=1)
    assert commits() == ["off", "on"]
    with connection.cursor() as cursor:
        cursor.execute("SHOW synchronous_commit")
        assert cursor.fetchone() == ("on",)


MANY = """
INSERT INTO authx_devicesession (id, user_id, token_key, created_at, authenticated_at,
  absolute_expires_at, revoked_at, revoked_reason, installation_id, device_id, name, platform,
  app_version, last_user_agent, auth_hash, digest, created, expiry, access_nonce,
  fresh_access_count, generation, refresh_digest, refresh_nonce, idempotency_digests, rotated_at,
  recent, idle_expires_at, last_used_at, data)
SELECT gen_random_uuid(), %(user)s, '', now(), now(),
  now() + n * interval '2 days' + interval '1 year',
  CASE WHEN n %% 200 = 0 THEN now() - interval '1 day' * (n / 1000) END,
  CASE WHEN n %% 200 = 0 THEN 'signed_out' ELSE '' END, '', gen_random_uuid(), '', '', '', '', '',
  'a' || n, now(), now(), '\\x00', 0, 0, 'r' || n, '', '', now(), '',
  now() + (n - 50) * interval '1 day', now(), '{}'
FROM generate_series(1, 20000) n;
INSERT INTO authx_securityevent (created_at, kind, user_id, former_user_id, reason, user_agent,
  request_id, installation_id, device_name, platform)
SELECT now() - (n - 50) * interval '13 minutes', 'signed_in', %(user)s, '', '', '', '', '', '', ''
FROM generate_series(1, 20000) n;
ANALYZE authx_devicesession, authx_securityevent;
"""


@pytest.mark.postgresql
def test_a_sweep_reads_only_what_it_deletes(
    alice: User, statements: Callable[[], Statements]
) -> None:
    with connection.cursor() as cursor:
        for statement in MANY.split(";\n")[:-1]:
            cursor.execute(statement, {"user": alice.pk})
        with statements() as sql:
            report = sweep()
        assert 0 < report.sessions < 200
        assert 0 < report.events < 100
        plans = []
        for query in [found for found in sql.sql if found.startswith("DELETE")]:
            cursor.execute(f"EXPLAIN {query}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
    sessions, _, events = plans
    assert "authx_session_sweep_on" in sessions
    assert "authx_event_created" in events
    assert "Seq Scan" not in sessions + events
