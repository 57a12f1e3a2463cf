"""A thief and an app that hold the same tokens: their moves, on a row in memory or over HTTP."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Protocol
from unittest.mock import patch
from uuid import uuid4

from django.contrib.auth.models import User
from django.db.models.base import ModelState

from authx import clock, conf
from authx.codec import digest_of, token_codec
from authx.context import RequestContext, use_context
from authx.errors import InvalidAccessTokenError, InvalidRefreshTokenError, LateDuplicateError
from authx.models import DeviceSession, SecurityEvent
from authx.sessions import refresh, statements, two_places, use
from authx.sessions.open import open_session
from authx.sessions.state import access_expiry
from authx.sessions.values import Device
from authx.tokens import Token, TokenKind
from tests.conftest import NOON, Clock
from tests.phone import Phone

GRACE_PERIOD: Final = timedelta(seconds=10)
HOME: Final = RequestContext(ip="192.0.2.1", user_agent="app/1")
ELSEWHERE: Final = RequestContext(ip="203.0.113.9", user_agent="thief/1")
WRONG_KEY: Final = "a-key-that-the-thief-made-up"


class Pair(NamedTuple):
    access_token: str
    refresh_token: str


class State(NamedTuple):
    """What the server knows after a move."""

    generation: int
    is_confirmed: bool
    revoked_reason: str
    events: tuple[str, ...]


class Server(Protocol):
    """The session under attack, just signed in."""

    pair: Pair

    def refresh(
        self, refresh_token: str, key: str, source: RequestContext
    ) -> tuple[int, Pair | None]: ...

    def use(self, access_token: str) -> bool: ...

    def wait(self) -> None: ...

    @property
    def state(self) -> State: ...


@dataclass(frozen=True)
class Row:
    """The columns of the session, its clock, and the events that were recorded."""

    columns: Mapping[str, Any]
    now: datetime
    events: tuple[str, ...] = ()


class InMemory:
    """The real decisions on a row in memory, which can be put back to what it was."""

    def __init__(self) -> None:
        self.user = User(pk=1, username="alice", password="hashed")
        self.row, self.pair = self._opened()

    def _opened(self) -> tuple[Row, Pair]:
        codec, nonce = token_codec(), b"n" * 16
        token = Token(TokenKind.REFRESH, uuid4(), 0, b"s" * 32)
        raw_refresh_token = codec.mint(token)
        raw_access_token = next(codec.access_tokens(token, nonce)).raw_token
        ends_at = NOON + timedelta(days=30)
        session = DeviceSession(
            id=token.session_id,
            user=self.user,
            digest=digest_of(raw_access_token),
            created=NOON,
            expiry=access_expiry(
                issued_at=NOON,
                used_at=NOON,
                session_expires_at=ends_at,
                ttl=conf.access_token_ttl(),
            ),
            access_nonce=nonce,
            refresh_digest=digest_of(raw_refresh_token),
            refresh_nonce=b"",
            rotated_at=NOON,
            confirmed_at=NOON,
            auth_hash=self.user.get_session_auth_hash(),
            idle_expires_at=ends_at,
            absolute_expires_at=NOON + timedelta(days=180),
            last_used_at=NOON,
            last_ip=HOME.ip,
            last_user_agent=HOME.user_agent,
        )
        columns = {name: value for name, value in vars(session).items() if name != "_state"}
        return Row(columns, NOON), Pair(raw_access_token, raw_refresh_token)

    def refresh(
        self, refresh_token: str, key: str, source: RequestContext
    ) -> tuple[int, Pair | None]:
        try:
            with use_context(source):
                pair = refresh.refresh_session(raw_token=refresh_token, idempotency_key=key)
        except LateDuplicateError:
            return HTTPStatus.SERVICE_UNAVAILABLE, None
        except InvalidRefreshTokenError:
            return HTTPStatus.BAD_REQUEST, None
        return HTTPStatus.OK, Pair(pair.raw_access_token, pair.raw_refresh_token)

    def use(self, access_token: str) -> bool:
        try:
            use.use_access_token(raw_token=access_token)
        except InvalidAccessTokenError:
            return False
        return True

    def wait(self) -> None:
        self.row = replace(self.row, now=self.row.now + GRACE_PERIOD)

    @property
    def state(self) -> State:
        columns = self.row.columns
        is_confirmed = columns["confirmed_at"] is not None
        return State(
            columns["generation"], is_confirmed, columns["revoked_reason"], self.row.events
        )

    # What stands for the statements; each has the condition of the one in authx.sessions.

    def find_session(self, _: Any) -> DeviceSession:
        session = DeviceSession.__new__(DeviceSession)
        vars(session).update(self.row.columns, _state=ModelState())
        session._state.fields_cache["user"] = self.user
        return session

    def write(self, session: DeviceSession, changes: Mapping[str, Any]) -> None:
        # Nobody comes between a read and its write here.
        assert session.generation == self.row.columns["generation"]
        assert session.digest == self.row.columns["digest"]
        assert self.row.columns["revoked_at"] is None
        self.row = replace(self.row, columns={**self.row.columns, **changes})
        vars(session).update(changes)

    def rotate(self, session: DeviceSession, changes: Mapping[str, Any], now: datetime) -> None:
        assert session.idle_expires_at > now
        self.write(session, changes)

    def note_use(self, session: DeviceSession, *, now: datetime, expiry: datetime) -> None:
        confirmed_at = session.confirmed_at or now
        changes = {"confirmed_at": confirmed_at, "last_used_at": now, "expiry": expiry}
        self.write(session, changes)

    def revoke(self, *, session: DeviceSession, reason: str, detail: str) -> bool:
        self.write(session, {"revoked_at": self.row.now, "revoked_reason": str(reason)})
        return True

    def record_once(self, _: DeviceSession, reasons: list[str], now: datetime) -> datetime:
        if not set(reasons) & set(self.row.events):
            self.row = replace(self.row, events=(*self.row.events, reasons[0]))
        # All of it takes less than the patience with late duplicates.
        return now

    @contextmanager
    def in_place(self) -> Iterator[None]:
        """Let the decisions of authx read and write this row instead of the database's."""
        with (
            patch.object(clock, "read_at", lambda _: self.row.now),
            patch.object(statements, "find_session", self.find_session),
            patch.object(statements, "rotate", self.rotate),
            patch.object(statements, "replace_access_token", self.write),
            patch.object(statements, "note_use", self.note_use),
            patch.object(refresh, "revoke_session", self.revoke),
            patch.object(two_places, "_record_once", self.record_once),
            patch.object(refresh, "log_event_after_commit", _nothing),
            patch.object(refresh, "send_after_commit", _nothing),
            patch.object(refresh, "wait_for_standby", _nothing),
        ):
            yield


def _nothing(*_: Any, **__: Any) -> None:
    pass


class OverHTTP:
    """The same session, on a database behind HTTP."""

    def __init__(self, user: User, clock: Clock) -> None:
        self.clock = clock
        with use_context(HOME):
            opened = open_session(user=user, device=Device())
        self.session_id = opened.session.pk
        self.pair = Pair(opened.raw_access_token, opened.raw_refresh_token)
        self.state = self._read()

    def refresh(
        self, refresh_token: str, key: str, source: RequestContext
    ) -> tuple[int, Pair | None]:
        response = Phone().try_refresh(refresh_token, key=key, **sent_from(source))
        self.state = self._read()
        if response.status_code != HTTPStatus.OK:
            return response.status_code, None
        answer = response.json()
        return response.status_code, Pair(answer["access_token"], answer["refresh_token"])

    def use(self, access_token: str) -> bool:
        is_good = Phone(pair={"access_token": access_token}).is_signed_in
        self.state = self._read()
        return bool(is_good)

    def wait(self) -> None:
        self.clock.forward(seconds=GRACE_PERIOD.total_seconds())

    def _read(self) -> State:
        row = DeviceSession.objects.get(pk=self.session_id)
        told = SecurityEvent.objects.filter(session_id=self.session_id, kind="two_places")
        events = tuple(told.order_by("pk").values_list("reason", flat=True))
        return State(row.generation, row.confirmed_at is not None, row.revoked_reason, events)


def sent_from(source: RequestContext, **changed: str) -> dict[str, Any]:
    source = replace(source, **changed)
    return {"REMOTE_ADDR": source.ip, "headers": {"user-agent": source.user_agent}}


class Setting(NamedTuple):
    """What the app does about keys, and whence the thief comes."""

    has_keys: bool
    thief_source: RequestContext


@dataclass(frozen=True)
class World:
    """Who holds what after some moves; immutable, so that every next move can be tried from it."""

    setting: Setting
    app: Pair | None  # what the app stored; None once it has to sign in again
    copied: Pair  # what the thief copied
    thief: Pair  # the newest that he holds
    key: str = ""  # what the app stored for the refresh under way
    steps: int = 0
    # Of each refresh token that was rotated: who did it, and its successor.
    rotated: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    # The refresh tokens of pairs that were used.
    used: frozenset[str] = frozenset()
    # Set by the first refresh of a token that the other one had rotated: whether it had shown by
    # then, and if not, who had rotated and what had become of the successor.
    has_met: bool = False
    missed: tuple[str, str] | None = None
    # Whether there was an event each time that one was handed what the other's refresh had made.
    always_told: bool = True


def copied_store(setting: Setting, pair: Pair) -> World:
    return World(setting, app=pair, copied=pair, thief=pair)


def stolen_after(setting: Setting, server: Server, moves: tuple[str, ...]) -> World:
    """Return the world in which the store is copied after some moves of the app."""
    world = copied_store(setting, server.pair)
    for move in moves:
        world = moved(world, server, move)
    assert world.app is not None
    return replace(copied_store(setting, world.app), steps=world.steps)


def _present(
    world: World, server: Server, holder: str, refresh_token: str, key: str
) -> tuple[World, int, Pair | None]:
    """Present a refresh token, and note what an observer who sees both sides makes of it."""
    source = world.setting.thief_source if holder == "thief" else HOME
    generation = server.state.generation
    status, pair = server.refresh(refresh_token, key, source)
    state = server.state
    if state.generation > generation:
        assert pair is not None
        by = dict(world.rotated)
        by[refresh_token] = (holder, pair.refresh_token)
        return replace(world, rotated=by), status, pair
    if pair is not None:
        made_by = next(by for by, made in world.rotated.values() if made == pair.refresh_token)
        is_told = any(it.endswith(f"generation {state.generation}") for it in state.events)
        world = replace(world, always_told=world.always_told and (made_by == holder or is_told))
    rotated_by, successor = world.rotated.get(refresh_token, (holder, ""))
    if rotated_by == holder or world.has_met:
        return world, status, pair
    # The two meet: this one refreshes what the other one had refreshed.
    has_shown = bool(state.revoked_reason or state.events)
    became = "used" if successor in world.used else "unused"
    became = "superseded" if successor in world.rotated else became
    missed = None if has_shown else (rotated_by, became)
    return replace(world, has_met=True, missed=missed), status, pair


def _use(world: World, server: Server, pair: Pair) -> World:
    if server.use(pair.access_token):
        return replace(world, used=world.used | {pair.refresh_token})
    return world


def _app_refreshes(world: World, server: Server, *, is_lost: bool = False) -> World:
    stored = world.app
    if stored is None:
        return world
    if world.setting.has_keys and not world.key:
        world = replace(world, key=f"app-key-{world.steps:08}")
    world, status, pair = _present(world, server, "app", stored.refresh_token, world.key)
    if is_lost or status == HTTPStatus.SERVICE_UNAVAILABLE:
        return world
    return replace(world, app=pair, key="")


def _app_loses_an_answer(world: World, server: Server) -> World:
    return _app_refreshes(world, server, is_lost=True)


def _app_uses(world: World, server: Server) -> World:
    return world if world.app is None else _use(world, server, world.app)


def _thief_refreshes(world: World, server: Server, pair: Pair, key: str) -> World:
    world, _, new = _present(world, server, "thief", pair.refresh_token, key)
    return world if new is None else replace(world, thief=new)


def _wait(world: World, server: Server) -> World:
    server.wait()
    return world


Move = Callable[[World, Server], World]
MOVES: Final[Mapping[str, Move]] = {
    "app refreshes": _app_refreshes,
    "app loses an answer": _app_loses_an_answer,
    "app uses": _app_uses,
    "thief refreshes": lambda world, server: _thief_refreshes(world, server, world.thief, ""),
    "thief refreshes with a wrong key": lambda world, server: _thief_refreshes(
        world, server, world.thief, WRONG_KEY
    ),
    "thief presents what he copied": lambda world, server: _thief_refreshes(
        world, server, world.copied, ""
    ),
    "thief presents what he copied with a wrong key": lambda world, server: _thief_refreshes(
        world, server, world.copied, WRONG_KEY
    ),
    "thief uses": lambda world, server: _use(world, server, world.thief),
    "a grace period passes": _wait,
}


def moved(world: World, server: Server, move: str) -> World:
    return MOVES[move](replace(world, steps=world.steps + 1), server)


@dataclass
class Count:
    """What an enumeration found."""

    interleavings: int = 0
    met: int = 0
    missed: dict[tuple[str, str], int] = field(default_factory=dict)
    # Of those, where nothing had shown at the end either.
    unseen: int = 0
    not_told: int = 0


def enumerate_from(world: World, server: InMemory, depth: int, count: Count) -> None:
    """Try every move from here, and from each of what follows; prefixes are walked once."""
    row = server.row
    for move in MOVES:
        server.row = row
        after = moved(world, server, move)
        state = server.state
        # Nothing more can happen to a session that has ended.
        is_over = bool(state.revoked_reason)
        weight = sum(len(MOVES) ** more for more in range(depth)) if is_over else 1
        count.interleavings += weight
        count.met += weight * after.has_met
        count.not_told += weight * (not after.always_told)
        if after.missed is not None:
            count.missed[after.missed] = count.missed.get(after.missed, 0) + weight
            count.unseen += weight * (not is_over and not state.events)
        if depth > 1 and not is_over:
            enumerate_from(after, server, depth - 1, count)
    server.row = row
