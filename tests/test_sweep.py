"""The sweep: deletes what no longer matters, in bounded batches, and never anything else."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
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

from authx.models import AccessToken, DeviceSession
from authx.sessions.sweep import SweepReport, sweep
from tests.conftest import NOON, Clock, Statements
from tests.phone import Phone, error_of

RETENTION = timedelta(days=7)
FAR = timedelta(days=20)
MICROSECOND = timedelta(microseconds=1)
# Around the boundary, and anywhere.
OFFSETS = st.integers(-3, 3).map(lambda n: n * MICROSECOND) | st.timedeltas(-FAR, FAR)


def a_session(user: User, idle_ends_at: datetime, revoked_at: datetime | None = None) -> str:
    """Insert a session without tokens and return its id."""
    session = DeviceSession.objects.create(
        user=user,
        digest=uuid4().hex,
        nonce=b"n" * 16,
        auth_hash="hash",
        idle_expires_at=idle_ends_at,
        absolute_expires_at=idle_ends_at + FAR,
        revoked_at=revoked_at,
        revoked_reason="signed_out" if revoked_at else "",
    )
    return str(session.pk)


def a_token(session_id: str, user: User, expires_at: datetime, generation: int = 0) -> str:
    """Insert an access token and return its digest."""
    token = AccessToken(
        digest=uuid4().hex,
        token_key="axa_",
        user=user,
        session_id=session_id,
        generation=generation,
        nonce=b"n" * 16,
        expiry=expires_at,
    )
    token.save(force_insert=True)
    return token.digest


def ids_of(rows: QuerySet[DeviceSession] | QuerySet[AccessToken]) -> set[str]:
    return {str(pk) for pk in rows.values_list("pk", flat=True)}


def test_a_sweep_goes_in_bounded_batches_of_two_statements(
    alice: User, clock: Clock, settings: Settings, statements: Callable[[], Statements]
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 2}
    now = timezone.now()
    kept = a_session(alice, now + FAR)
    for generation in range(5):
        a_token(kept, alice, now, generation)
        a_session(alice, now - RETENTION)
    with statements() as sql:
        assert sweep() == SweepReport(access_tokens=5, sessions=5)
    # Three batches of each, beside the lease, which is taken, noted and given back.
    lease = [statement for statement in sql.sql if "authx_sweeplease" in statement]
    assert len(lease) <= 4
    # And a look at the events and at the notices, of which there are none to delete.
    assert len(sql.sql) - len(lease) == 2 * (3 + 3) + 2
    deletes = [statement for statement in sql.sql if "DELETE" in statement]
    deleted = [one.count("'") // 2 for one in deletes]
    assert deleted == [2, 2, 1, 2, 2, 1]
    assert ids_of(DeviceSession.objects.all()) == {kept}


def test_nothing_to_do_costs_one_look_a_table(
    phone: Phone, statements: Callable[[], Statements]
) -> None:
    with statements() as sql:
        assert sweep() == SweepReport()
    assert len([statement for statement in sql.sql if "sweeplease" not in statement]) == 4
    assert phone.is_signed_in


@pytest.mark.django_db
@settings(max_examples=50, deadline=None)
@given(offsets=st.lists(OFFSETS, max_size=8))
def test_exactly_the_expired_access_tokens_go(offsets: list[timedelta]) -> None:
    with time_machine.travel(NOON, tick=False):
        user = User.objects.create(username=uuid4().hex)
        session = a_session(user, NOON + FAR)
        live: set[str] = set()
        dead: set[str] = set()
        for generation, offset in enumerate(offsets):
            made = a_token(session, user, NOON + offset, generation)
            (live if offset > timedelta(0) else dead).add(made)
        assert sweep() == SweepReport(access_tokens=len(dead))
        assert ids_of(AccessToken.objects.all()) == live
        assert ids_of(DeviceSession.objects.all()) == {session}
        user.delete()


@pytest.mark.django_db
@settings(max_examples=50, deadline=None)
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
    assert sweep() == SweepReport(access_tokens=1)
    clock.forward(microseconds=1)
    assert sweep() == SweepReport(sessions=1)
    assert not DeviceSession.objects.exists()
    assert error_of(phone.try_refresh()) == (HTTPStatus.BAD_REQUEST, "invalid_grant")


def test_a_session_with_an_access_token_left_waits_for_it(
    clock: Clock, phone: Phone, settings: Settings
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_RETENTION": timedelta(0)}
    phone.send("POST", "logout")
    assert sweep() == SweepReport()
    clock.forward(minutes=15)
    assert sweep() == SweepReport(access_tokens=1, sessions=1)
    assert not DeviceSession.objects.exists()


def test_a_phone_in_use_never_notices_a_sweep(clock: Clock, phone: Phone, tablet: Phone) -> None:
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
    assert sweep().access_tokens == 2
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
def locked_elsewhere(rows: QuerySet[DeviceSession] | QuerySet[AccessToken]) -> Iterator[None]:
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
def test_a_row_that_somebody_holds_is_left_for_the_next_sweep(alice: User) -> None:
    now = timezone.now()
    live = a_session(alice, now + FAR)
    tokens = [a_token(live, alice, now - RETENTION, generation) for generation in range(3)]
    ended = [a_session(alice, now - FAR) for _ in range(3)]
    with (
        locked_elsewhere(AccessToken.objects.filter(pk=tokens[1])),
        locked_elsewhere(DeviceSession.objects.filter(pk=ended[1])),
    ):
        assert sweep() == SweepReport(access_tokens=2, sessions=2)
        assert ids_of(AccessToken.objects.all()) == {tokens[1]}
        assert ids_of(DeviceSession.objects.all()) == {live, ended[1]}
    assert sweep() == SweepReport(access_tokens=1, sessions=1)
    assert ids_of(DeviceSession.objects.all()) == {live}


MANY = """
INSERT INTO authx_devicesession (id, user_id, generation, digest, previous_digest, nonce, auth_hash,
  created_at, rotated_at, idle_expires_at, absolute_expires_at, revoked_at, revoked_reason,
  installation_id, name, platform, app_version, last_used_at, last_user_agent)
SELECT gen_random_uuid(), %(user)s, 0, md5(n::text), '', '\\x00', '', now(), now(),
  now() + (n - 50) * interval '1 day', now() + n * interval '2 days' + interval '1 year',
  CASE WHEN n %% 200 = 0 THEN now() - interval '1 day' * (n / 1000) END,
  CASE WHEN n %% 200 = 0 THEN 'signed_out' ELSE '' END, '', '', '', '', now(), ''
FROM generate_series(1, 20000) n;
INSERT INTO authx_accesstoken (digest, token_key, created, expiry, user_id, session_id, generation,
  nonce, last_used_at)
SELECT digest, 'axa_', now(), idle_expires_at + interval '10 days', user_id, id, 0, '\\x00', now()
FROM authx_devicesession;
INSERT INTO authx_securityevent (created_at, kind, user_id, name_hash, reason, user_agent,
  request_id, installation_id, device_name, platform)
SELECT now() - (n - 50) * interval '13 minutes', 'signed_in', %(user)s, '', '', '', '', '', '', ''
FROM generate_series(1, 20000) n;
ANALYZE authx_devicesession, authx_accesstoken, authx_securityevent;
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
        assert 0 < report.access_tokens < 100
        assert 0 < report.sessions < 200
        assert 0 < report.events < 100
        plans = []
        for query in [found for found in sql.sql if "SKIP LOCKED" in found]:
            cursor.execute(f"EXPLAIN {query}")
            plans.append("\n".join(line for (line,) in cursor.fetchall()))
    tokens, sessions, _, events = plans
    assert "authx_access_token_expiry" in tokens
    assert "authx_session_idle_expires" in sessions
    assert "authx_session_revoked" in sessions
    assert "authx_event_created" in events
    assert "Seq Scan" not in tokens + sessions + events
