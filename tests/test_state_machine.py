"""Anything that can happen to the devices of two people, in any order, against a small model.

Never two live generations, never a sign-out without cause, always recoverable after a loss.
The examples are the same in each run; LONG_RUN=2000 in the environment tries that many others.
"""

import os
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any
from uuid import UUID, uuid4

import pytest
import time_machine
from django.contrib.auth.models import User
from django.db import connection
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, settings, stateful
from hypothesis import strategies as st

from authx.models import DeviceSession, SweepLease
from authx.sessions.sweep import SweepReport, sweep
from authx.tokens import RawToken, digest_of
from tests.conftest import NOON
from tests.phone import Phone, error_of

WINDOW, IDLE, ABSOLUTE = timedelta(seconds=10), timedelta(days=30), timedelta(days=180)
ACCESS_TTL, ACCESS_MAX_TTL = timedelta(minutes=15), timedelta(hours=1)
MOMENTS = st.sampled_from([timedelta(seconds=n) for n in (0, 1, 9, 10, 10, 15)])
SPANS = MOMENTS | st.sampled_from([timedelta(minutes=n) for n in (10, 15, 60, 1440, 41760, 43200)])
LONG_RUN = int(os.environ.get("LONG_RUN", "0"))
EXAMPLES = 25 if connection.vendor == "postgresql" else 5
RUN = settings(max_examples=LONG_RUN or EXAMPLES, stateful_step_count=40, derandomize=not LONG_RUN)
RUN = settings(RUN, database=None, deadline=None, suppress_health_check=[HealthCheck.too_slow])
PICK, BACK, LATE = st.integers(0, 9), st.integers(0, 3), st.sampled_from([1, 1, 1, 2, 3, 0])
ENDS = ["log_out", "log_out_all", "end_device", "revoke", "change_password", "deactivate"]


@dataclass
class Row:
    raw_token: RawToken
    issued_at: datetime
    expires_at: datetime
    used_at: datetime


@dataclass(eq=False)
class Session:
    user: User
    password: str  # hashed, as it was at the sign-in
    id: UUID
    installation: str
    opened_at: datetime
    raw_refresh_tokens: list[RawToken] = field(default_factory=list)  # one a generation
    raw_access_tokens: list[RawToken] = field(default_factory=list)  # all that were handed out
    rows: dict[int, Row] = field(default_factory=dict)
    held: int = 0  # the generation that the phone stored last
    is_shared: bool = False  # somebody used what the phone does not hold, or no longer holds
    rotated_at: datetime = NOON
    used_at: datetime = NOON
    idle_ends_at: datetime = NOON
    confirmed_at: datetime | None = None
    revoked_at: datetime | None = None
    reason: str = ""
    is_swept: bool = False

    @property
    def newest(self) -> int:
        return len(self.raw_refresh_tokens) - 1

    def last_use(self) -> tuple[datetime, datetime]:
        return max([self.used_at, *(row.used_at for row in self.rows.values())]), self.opened_at

    def is_dead(self, now: datetime) -> bool:
        over = self.is_swept or self.revoked_at is not None or self.idle_ends_at <= now
        return over or not self.user.is_active or self.password != self.user.password

    def end(self, reason: str, now: datetime) -> bool:
        if is_first := not (self.is_swept or self.revoked_at):
            self.revoked_at, self.reason = now, reason
        return is_first

    def issue(self, raw_token: RawToken, now: datetime) -> None:
        assert raw_token not in self.raw_access_tokens
        self.raw_access_tokens.append(raw_token)
        self.rows[self.newest] = Row(raw_token, now, min(now + ACCESS_TTL, self.idle_ends_at), now)

    def advance(self, pair: dict[str, Any], now: datetime) -> None:
        assert pair["refresh_token"] not in self.raw_refresh_tokens
        self.raw_refresh_tokens.append(pair["refresh_token"])
        self.rotated_at = self.used_at = now
        self.confirmed_at = None if self.newest else now
        self.idle_ends_at = min(now + IDLE, self.opened_at + ABSOLUTE)
        self.rows = {made: row for made, row in self.rows.items() if made >= self.newest - 1}
        self.issue(pair["access_token"], now)
        self.assert_is_newest(pair, now)

    def use(self, raw_token: RawToken, now: datetime) -> bool:
        row = next((row for row in self.rows.values() if row.raw_token == raw_token), None)
        if row is None or self.is_dead(now) or row.expires_at <= now:
            return False
        if row is not self.rows.get(self.newest):
            return now < self.rotated_at + WINDOW
        self.is_shared |= self.held < self.newest
        if self.confirmed_at is None:
            self.confirmed_at = self.used_at = now
        if now - row.used_at > timedelta(seconds=60):
            renewed = min(now + ACCESS_TTL, row.issued_at + ACCESS_MAX_TTL, self.idle_ends_at)
            row.expires_at, row.used_at = max(row.expires_at, renewed), now
        return True

    def assert_is_newest(self, pair: dict[str, Any], now: datetime) -> None:
        row, second = self.rows[self.newest], timedelta(seconds=1)
        assert pair["access_token"] == row.raw_token
        assert pair["refresh_token"] == self.raw_refresh_tokens[-1]
        assert pair["expires_in"] == (row.expires_at - now) // second
        assert pair["refresh_token_expires_in"] == (self.idle_ends_at - now) // second


def body_of(response: Any) -> Any:
    assert response.status_code == HTTPStatus.OK, response.content
    return response.json()


class Devices(stateful.RuleBasedStateMachine):
    retry = "until_confirmed"

    @stateful.initialize(retention=st.sampled_from([0, 7]))
    def begin(self, retention: int) -> None:
        self.retention = timedelta(days=retention)
        own = {"RETRY": self.retry, "SWEEP_RETENTION": self.retention, "SESSION_LIMIT_PER_USER": 3}
        self.world = ExitStack()
        self.world.enter_context(override_settings(AUTHX=own))
        self.clock = self.world.enter_context(time_machine.travel(NOON, tick=False))
        self.users = [User.objects.create_user(uuid4().hex, password="first") for _ in range(2)]
        self.passwords, self.all = ["first", "first"], list[Session]()
        self.sign_in(who=False, installation="one")

    def teardown(self) -> None:
        self.world.close()
        User.objects.all().delete()
        SweepLease.objects.all().delete()

    def own(self, user: User) -> list[Session]:
        return [session for session in self.all if session.user is user]

    def picked(self, pick: int) -> Session:
        if pick >= 5 or self.last.is_dead(timezone.now()):
            live = [it for it in self.all if pick < 9 and not it.is_dead(timezone.now())]
            self.last: Session = (live or self.all)[pick % len(live or self.all)]
        return self.last

    @stateful.rule(who=st.booleans(), installation=st.sampled_from(["", "one", "two"]))
    def sign_in(self, who: bool, installation: str) -> None:
        self.clock.shift(timedelta(microseconds=1))  # never two sign-ins at one instant
        user, now = self.users[who], timezone.now()
        phone = Phone(user.username, {"installation_id": installation})
        if not user.is_active:
            assert phone.try_sign_in(self.passwords[who]).status_code == HTTPStatus.BAD_REQUEST
            user.is_active = True
            user.save()
        pair = body_of(phone.try_sign_in(self.passwords[who]))
        for other in [it for it in self.own(user) if it.installation == installation != ""]:
            other.end("replaced", now)
        live = [other for other in self.own(user) if not other.is_dead(now)]
        for other in sorted(live, key=Session.last_use, reverse=True)[2:]:
            other.end("evicted", now)
        session = Session(user, user.password, UUID(pair["device"]["id"]), installation, now)
        session.advance(pair, now)
        self.all.append(session)
        self.last = session

    def present(self, session: Session, generation: int) -> bool:
        now, newest = timezone.now(), session.newest
        session.is_shared |= generation != session.held
        response = Phone().try_refresh(session.raw_refresh_tokens[generation])
        since = session.rotated_at if self.retry == "strict" else session.confirmed_at
        may_retry = generation == newest - 1 and (since is None or now < since + WINDOW)
        if session.is_dead(now) or (generation != newest and not may_retry):
            assert error_of(response) == (HTTPStatus.BAD_REQUEST, "invalid_grant")
            if not session.is_dead(now):
                # The only refusal without an end before it: never for what the phone did alone.
                assert session.is_shared or self.retry == "strict"
                session.end("reuse_detected", now)
            return False
        pair, row = body_of(response), session.rows.get(newest)
        if generation == newest:
            session.advance(pair, now)
        elif row is None or row.expires_at <= now:
            session.issue(pair["access_token"], now)
        session.assert_is_newest(pair, now)
        return True

    @stateful.rule(pick=PICK, losses=st.integers(0, 2), span=SPANS, returns=st.booleans())
    def refresh(self, pick: int, losses: int, span: timedelta, returns: bool) -> None:
        session = self.picked(pick)
        lost = [self.present(session, session.held) for _ in range(losses)]
        self.clock.shift(span if lost else timedelta(0))  # then perhaps comes back
        may_fail = self.retry == "strict" or session.is_shared or session.is_dead(timezone.now())
        generation = session.newest
        if returns and self.present(session, session.held):
            session.held = session.newest
            assert session.newest == generation or not any(lost)
        elif returns:
            assert may_fail

    @stateful.rule(pick=PICK, confirms=st.booleans(), span=MOMENTS, back=LATE)
    def be_late(self, pick: int, confirms: bool, span: timedelta, back: int) -> None:
        session = self.picked(pick)
        if self.present(session, session.held):
            session.held = session.newest
        _ = confirms and self.send(session, 0, "GET", "me")
        self.clock.shift(span)
        self.send(session, 1, "GET", "me")
        self.present(session, max(session.newest - back, 0))

    def send(self, session: Session, back: int, *request: Any) -> Any:
        """Use one of the last access tokens; None if it is refused, as foretold."""
        raw_token = session.raw_access_tokens[max(len(session.raw_access_tokens) - 1 - back, 0)]
        response = Phone(pair={"access_token": raw_token}).send(*request)
        is_good = session.use(raw_token, timezone.now())
        assert is_good or error_of(response) == (HTTPStatus.UNAUTHORIZED, "invalid_token")
        return response if is_good else None

    @stateful.rule(pick=PICK, back=BACK)
    def use(self, pick: int, back: int) -> None:
        session = self.picked(pick)
        response = self.send(session, back, "GET", "me")
        assert response is None or body_of(response)["session"]["id"] == str(session.id)

    @stateful.rule(pick=PICK, how=st.sampled_from(ENDS), detail=st.integers(0, 7))
    def end(self, pick: int, how: str, detail: int) -> None:
        getattr(self, how)(self.picked(pick), detail)

    def log_out(self, session: Session, _: int) -> None:
        if self.send(session, 0, "POST", "logout"):
            session.end("signed_out", timezone.now())

    def log_out_all(self, session: Session, keep: int) -> None:
        if response := self.send(session, 0, "POST", "logout-all", {"keep_current": keep > 3}):
            others = [it for it in self.own(session.user) if keep <= 3 or it is not session]
            ended = sum(it.end("signed_out_everywhere", timezone.now()) for it in others)
            assert body_of(response) == {"revoked": ended}

    def end_device(self, session: Session, pick: int) -> None:
        other = self.all[pick % len(self.all)]
        if response := self.send(session, 0, "DELETE", f"devices/{other.id}"):
            known = other.user is session.user and not other.is_dead(timezone.now())
            assert response.status_code == (HTTPStatus.NO_CONTENT if known else 404)
            assert not known or other.end("ended_by_person", timezone.now())

    def revoke(self, session: Session, back: int) -> None:
        token = [*session.raw_access_tokens, *session.raw_refresh_tokens][-1 - back :][0]
        assert body_of(Phone().send("POST", "revoke", {"token": token})) == {}
        # An access token that has no row any more may lie about in a log: it ends nothing.
        if token in [*session.raw_refresh_tokens, *(it.raw_token for it in session.rows.values())]:
            session.end("signed_out", timezone.now())

    def change_password(self, session: Session, _: int) -> None:
        raw_password = self.passwords[self.users.index(session.user)] = uuid4().hex
        session.user.set_password(raw_password)
        session.user.save()

    def deactivate(self, session: Session, _detail: int) -> None:
        session.user.is_active = False
        session.user.save()
        _ = [own.end("deactivated", timezone.now()) for own in self.own(session.user)]

    @stateful.rule(span=SPANS)
    def sweep(self, span: timedelta) -> None:
        self.clock.shift(span)
        now, tokens, ended = timezone.now(), 0, 0
        for session in [session for session in self.all if not session.is_swept]:
            expired = [n for n, row in session.rows.items() if row.expires_at <= now]
            tokens += len([session.rows.pop(n) for n in expired])
            over_at = min(session.idle_ends_at, session.revoked_at or session.idle_ends_at)
            session.is_swept = over_at <= now - self.retention and not session.rows
            ended += session.is_swept
        assert sweep() == SweepReport(access_tokens=tokens, sessions=ended)

    @stateful.invariant()
    def the_database_agrees(self) -> None:
        kept = [session for session in self.all if not session.is_swept]
        names = "pk", "generation", "confirmed_at", "idle_expires_at", "revoked_reason"
        ends = {(it.id, it.newest, it.confirmed_at, it.idle_ends_at, it.reason) for it in kept}
        assert set(DeviceSession.objects.values_list(*names)) == ends
        held = set(AccessToken.objects.values_list("session", "generation", "digest", "expiry"))
        rows = [(it.id, n, row) for it in kept for n, row in it.rows.items()]
        assert held == {(pk, n, digest_of(row.raw_token), row.expires_at) for pk, n, row in rows}
        assert all(len(it.rows) <= 2 for it in kept)


@pytest.mark.no_cover
@pytest.mark.timeout(0 if LONG_RUN else 300)
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("retry", ["until_confirmed", "strict"])
def test_no_order_of_events_breaks_a_promise(retry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Devices, "retry", retry)
    stateful.run_state_machine_as_test(Devices, settings=RUN)
