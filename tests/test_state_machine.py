"""Anything that can happen to the devices of two users, in any order, against a small model.

Keys, several generations in grace, sources: each response is the one that the model predicts, the
row is as it says after each step, and an app that keeps the rules of docs/clients.md is never
signed out without a cause. The gate tries a few examples, the same in each run; `make soak` 300.
"""

from contextlib import ExitStack
from datetime import timedelta
from http import HTTPStatus
from itertools import count
from typing import Any
from uuid import UUID

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import override_settings
from django.utils import timezone
from hypothesis import HealthCheck, settings, stateful
from hypothesis import strategies as st

from authx.contrib.introspection.models import Service
from authx.models import (
    DeviceSession,
    EventKind,
    Notification,
    SecurityEvent,
    SweepLease,
)
from authx.sessions.revoke import revoke_session
from authx.sessions.sweep import SweepReport, sweep
from tests.conftest import NOON
from tests.effort import SOAK, rounds
from tests.phone import Phone, error_of
from tests.services import introspect, new_service
from tests.session_model import PLACES, ROW, Place, Session, late

pytestmark = pytest.mark.portable

MOMENTS = st.sampled_from([timedelta(seconds=n) for n in (0, 1, 9, 10, 10, 15)])
JUST_BEFORE = st.sampled_from([timedelta(seconds=10, microseconds=-1), timedelta(microseconds=1)])
LONG = st.sampled_from([timedelta(minutes=n) for n in (10, 15, 15, 60, 60, 1440, 41760, 43200)])
SPANS = MOMENTS | JUST_BEFORE | LONG
RUN = settings(max_examples=rounds(6, 300), stateful_step_count=40, derandomize=not SOAK)
RUN = settings(RUN, database=None, deadline=None, suppress_health_check=list(HealthCheck))
PICK, BACK, WHERE = st.integers(0, 9), st.integers(0, 3), st.sampled_from(PLACES)
KEYED = st.lists(st.booleans(), min_size=2, max_size=9)
MANY = ["1000000/minute"]
RATES = ["SIGN_IN_RATES", "SIGN_IN_RATES_PER_IP", "REFRESH_RATES", "SESSION_RATES"]
RATES += ["SIGN_IN_RATES_PER_SUBNET", "SIGN_IN_RATES_PER_SITE"]
RATES += ["FORGED_TOKEN_RATES", "SERVICE_RATES"]
ENDS = ["log_out", "log_out_all", "end_device", "revoke", "set_password", "change_password"]
ENDS += ["deactivate", "operator"]
INVALID_GRANT = (HTTPStatus.BAD_REQUEST, "invalid_grant")
LATER = (HTTPStatus.SERVICE_UNAVAILABLE, "temporarily_unavailable")


def error_body(response: Any) -> Any:
    assert response.status_code == HTTPStatus.OK, response.content
    return response.json()


class Devices(stateful.RuleBasedStateMachine):
    retry = "until_confirmed"

    @stateful.initialize(retention=st.sampled_from([0, 7]))
    def begin(self, retention: int) -> None:
        self.retention, self.strict = timedelta(days=retention), self.retry == "strict"
        own: dict[str, Any] = {"RETRY": self.retry, "SWEEP_RETENTION": self.retention}
        own |= {"SESSION_LIMIT_PER_USER": 3, "EVENT_RETENTION": timedelta(days=100_000)}
        self.world = ExitStack()
        self.world.enter_context(override_settings(AUTHX=own | dict.fromkeys(RATES, MANY)))
        self.clock = self.world.enter_context(time_machine.travel(NOON, tick=False))
        self.users = [User.objects.create_user(it, password="first") for it in ("anna", "ben")]
        self.passwords, self.all = ["first", "first"], list[Session]()
        self.service = new_service()
        self.numbers = count()
        self.sign_in(who=False, installation="one", place=PLACES[0])

    def teardown(self) -> None:
        self.world.close()
        for model in (User, SweepLease, Notification, Service):
            model.objects.all().delete()
        SecurityEvent.objects.all()._raw_delete(using="default")

    def new_value(self) -> str:
        """Return what will do as a password or as an idempotency key."""
        return f"never-seen-before-{next(self.numbers)}"

    def own(self, user: User) -> list[Session]:
        return [session for session in self.all if session.user is user]

    def picked(self, pick: int) -> Session:
        """Return the session that was picked last, another live one, or seldom any at all."""
        now = timezone.now()
        if pick < 9 and all(it.is_dead(now) for it in self.all):
            self.sign_in(bool(pick % 2), "one", PLACES[0])
        if pick >= 5 or self.last.is_dead(now):
            live = [it for it in self.all if pick < 9 and not it.is_dead(now)]
            self.last: Session = (live or self.all)[pick % len(live or self.all)]
        return self.last

    def opened(self, user: User, pair: dict[str, Any], installation: str, place: Place) -> None:
        now, session_id = timezone.now(), UUID(pair["device"]["id"])
        self.last = Session(user, user.password, session_id, installation, now)
        self.last.advance(pair, "", place, now)
        self.all.append(self.last)

    @stateful.rule(who=st.booleans(), installation=st.sampled_from(["", "one", "two"]), place=WHERE)
    def sign_in(self, who: bool, installation: str, place: Place) -> None:
        self.clock.shift(timedelta(microseconds=1))  # never two sign-ins at one instant
        user, now = self.users[who], timezone.now()
        phone = Phone(user.username, {"installation_id": installation})
        if not user.is_active:
            assert error_of(phone.try_sign_in(self.passwords[who])) == INVALID_GRANT
            user.is_active = True
            user.save()
        pair = error_body(phone.try_sign_in(self.passwords[who], **place.options))
        for other in [it for it in self.own(user) if it.installation == installation != ""]:
            other.end("replaced", now)
        live = [other for other in self.own(user) if not other.is_dead(now)]
        for other in sorted(live, key=lambda it: it.last_use, reverse=True)[2:]:
            other.end("evicted", now)
        self.opened(user, pair, installation, place)

    def present(self, session: Session, number: int, key: str, place: Place) -> str:
        """Present the refresh token of a generation; returns what came of it, as foretold."""
        now = timezone.now()
        verdict = session.judge(number, key, now, strict=self.strict)
        raw_token = session.generations[number].raw_refresh_token
        response = Phone().try_refresh(raw_token, key=key, **place.options)
        if verdict == "rotate":
            session.advance(error_body(response), key, place, now)
        elif verdict == "retry":
            session.retry(error_body(response), number, key, place, now)
        else:
            assert error_of(response) == (LATER if verdict == "later" else INVALID_GRANT)
        if verdict == "reuse":
            session.end("reuse_detected", now)
        if verdict == "later":
            is_away = place.differs(session.last.place, key_differs=False)
            session.note(late(number), now, sends_notification=is_away)
        return verdict

    def refresh_by_app(self, session: Session, place: Place) -> str:
        verdict = self.present(session, session.held, session.key, place)
        # An app that keeps the rules is never signed out for what it did alone.
        may_be_lost = session.is_shared or (self.strict and not session.key)
        assert verdict not in ("reuse", "later") or may_be_lost
        return verdict

    def begin_refresh(self, session: Session, *, keyed: bool) -> None:
        if session.held == session.newest and not session.key:
            session.key = self.new_value() if keyed else ""

    def store(self, session: Session) -> None:
        session.held, session.key = session.newest, ""

    @stateful.rule(
        pick=PICK, losses=st.integers(0, 2), span=SPANS, keyed=st.booleans(), place=WHERE
    )
    def refresh(self, pick: int, losses: int, span: timedelta, keyed: bool, place: Place) -> None:
        """Refresh as docs/clients.md says; perhaps some answers are lost, and it takes a while."""
        session = self.picked(pick)
        self.begin_refresh(session, keyed=keyed)
        newest = max(session.newest, session.held + 1)
        lost = [self.refresh_by_app(session, place) for _ in range(losses)]
        self.clock.shift(span if lost else timedelta(0))
        if self.refresh_by_app(session, PLACES[0]) in ("rotate", "retry"):
            # One rotation, however many answers were lost.
            assert session.is_shared or session.newest == newest
            self.store(session)

    @stateful.rule(pick=PICK, keyed=st.booleans(), span=SPANS)
    def lose(self, pick: int, keyed: bool, span: timedelta) -> None:
        """Lose an answer, and go on with something else before the next try."""
        session = self.picked(pick)
        self.begin_refresh(session, keyed=keyed)
        self.refresh_by_app(session, PLACES[0])
        self.clock.shift(span)

    @stateful.rule(pick=PICK, back=BACK, far=st.booleans(), key=st.integers(0, 3), place=WHERE)
    def present_any(self, pick: int, back: int, far: bool, key: int, place: Place) -> None:
        """Present any token with any key, as a thief or a request that is late does."""
        session = self.picked(pick)
        number = max(session.newest - (back + 7 if far else back), 0)
        made = session.generations[number + 1 :][:1] or session.generations[-1:]
        older = session.generations[max(number - 1, 0)].key
        keys = ["", made[0].key, older, self.new_value()]
        session.is_shared = True
        self.present(session, number, keys[key], place)

    @stateful.rule(pick=PICK, keys=KEYED, span=SPANS, key=st.integers(0, 4), place=WHERE)
    def refresh_in_a_row(
        self, pick: int, keys: list[bool], span: timedelta, key: int, place: Place
    ) -> None:
        """Without single flight: each late 401 refreshes once more, then the first one comes."""
        session = self.picked(pick)
        first = session.newest
        for keyed in keys:
            session.is_shared |= session.held < session.newest
            self.present(session, session.newest, self.new_value() if keyed else "", PLACES[0])
        self.store(session)
        self.clock.shift(span)
        own_key = session.generations[first + 1 :][:1] or session.generations[-1:]
        wrong = [session.generations[-1].key, "", self.new_value()]
        self.present(session, first, [*wrong, *[own_key[0].key] * 2][key], place)

    def send(self, session: Session, back: int, *request: Any) -> Any:
        """Use one of the last access tokens; None if it is refused, as foretold."""
        raw_token = session.access_tokens[-1 - back :][0]
        response = Phone(pair={"access_token": raw_token}).send(*request)
        is_good = session.use(raw_token, timezone.now(), renews=True)
        assert is_good or error_of(response) == (HTTPStatus.UNAUTHORIZED, "invalid_token")
        return response if is_good else None

    @stateful.rule(pick=PICK, back=BACK)
    def use(self, pick: int, back: int) -> None:
        session = self.picked(pick)
        response = self.send(session, back, "GET", "me")
        assert response is None or error_body(response)["device"]["id"] == str(session.id)

    @stateful.rule(pick=PICK, back=BACK)
    def introspect(self, pick: int, back: int) -> None:
        session = self.picked(pick)
        raw_token = session.access_tokens[-1 - back :][0]
        answer = introspect(self.service, raw_token)
        assert answer["active"] == session.use(raw_token, timezone.now(), renews=False)

    @stateful.rule(span=SPANS)
    def wait(self, span: timedelta) -> None:
        self.clock.shift(span)

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
            assert error_body(response) == {"revoked": ended}

    def end_device(self, session: Session, pick: int) -> None:
        other = self.all[pick % len(self.all)]
        if response := self.send(session, 0, "DELETE", f"devices/{other.id}"):
            known = other.user is session.user and not other.is_dead(timezone.now())
            assert response.status_code == (HTTPStatus.NO_CONTENT if known else 404)
            assert not known or other.end("ended_by_user", timezone.now())

    def revoke(self, session: Session, back: int) -> None:
        token = [*session.access_tokens, *session.refresh_tokens][-1 - back :][0]
        # Old access tokens lie about in logs; tests/test_generations.py says what they end.
        if not session.is_old_and_refused(token, timezone.now()):
            assert error_body(Phone().send("POST", "revoke", {"token": token})) == {}
            session.end("token_revoked", timezone.now())

    def revoke_locked(self, user: User, reason: str) -> int:
        return sum(own.end(reason, timezone.now()) for own in self.own(user))

    def set_password(self, session: Session, detail: int) -> None:
        """Change the stored hash beside us; of another password, or of the same one."""
        who = self.users.index(session.user)
        self.passwords[who] = self.passwords[who] if detail > 4 else self.new_value()
        session.user.set_password(self.passwords[who])
        session.user.save()

    def change_password(self, session: Session, _: int) -> None:
        who = self.users.index(session.user)
        passwords = {"current_password": self.passwords[who], "new_password": self.new_value()}
        if response := self.send(session, 0, "POST", "password", passwords):
            self.passwords[who] = passwords["new_password"]
            session.user.refresh_from_db()
            self.revoke_locked(session.user, "password_changed")
            place = Place("127.0.0.1", 0, "")
            self.opened(session.user, error_body(response), session.installation, place)

    def deactivate(self, session: Session, _detail: int) -> None:
        session.user.is_active = False
        session.user.save()
        self.revoke_locked(session.user, "deactivated")

    def operator(self, session: Session, _detail: int) -> None:
        row = DeviceSession.objects.filter(pk=session.id).first()
        if row is not None:
            revoke_session(session=row, reason=EventKind.ENDED_BY_OPERATOR)
            session.end("ended_by_operator", timezone.now())

    @stateful.rule(span=SPANS)
    def sweep(self, span: timedelta) -> None:
        self.clock.shift(span)
        now, ended = timezone.now(), 0
        for session in [session for session in self.all if not session.is_swept]:
            over_at = min(session.ends_at, session.revoked_at or session.ends_at)
            session.is_swept = over_at <= now - self.retention
            ended += session.is_swept
        assert sweep() == SweepReport(sessions=ended)

    @stateful.invariant()
    def the_database_agrees(self) -> None:
        kept = {session.row for session in self.all if not session.is_swept}
        assert set(DeviceSession.objects.values_list(*ROW)) == kept

    @stateful.invariant()
    def the_user_is_told_of_two_places(self) -> None:
        told = [(it.id, at) for it in self.all for at, _ in it.two_places.values()]
        found = SecurityEvent.objects.filter(kind="two_places")
        assert sorted((it.session_id, it.created_at) for it in found) == sorted(told)
        mailed = [
            1
            for it in self.all
            for _, sends_notification in it.two_places.values()
            if sends_notification
        ]
        assert Notification.objects.filter(event__in=found).count() == len(mailed)


@pytest.mark.no_cover
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("retry", ["until_confirmed", "strict"])
def test_no_order_of_events_breaks_a_promise(retry: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Devices, "retry", retry)
    stateful.run_state_machine_as_test(Devices, settings=RUN)
