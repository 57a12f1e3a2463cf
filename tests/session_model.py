"""What the design says of a session, as a small model of its own; decides nothing by our code."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Literal, NamedTuple
from uuid import UUID

from django.contrib.auth.models import User

GRACE_PERIOD, IDLE, ABSOLUTE = timedelta(seconds=10), timedelta(days=30), timedelta(days=180)
ACCESS_TTL, ACCESS_MAX_TTL = timedelta(minutes=15), timedelta(hours=1)
RENEWAL_INTERVAL, SECOND = timedelta(seconds=60), timedelta(seconds=1)
REMEMBERED_KEYS, FRESH_ACCESS_TOKENS = 8, 8
ANOTHER_SOURCE, ANOTHER_KEY = "another source", "another idempotency key"
MAIL_INTERVAL, PATIENCE = timedelta(days=1), timedelta(minutes=10)

Verdict = Literal["dead", "rotate", "retry", "later", "reuse"]


class Place(NamedTuple):
    """From where a request comes; addresses of one network share its number."""

    ip: str
    network: int
    user_agent: str

    def differs(self, other: "Place", *, key_differs: bool) -> bool:
        """Say whether it is another source; where the key differs too, less is enough."""
        moved = self.network != other.network
        is_other_agent = self.user_agent != other.user_agent
        return (moved or is_other_agent) if key_differs else (moved and is_other_agent)

    @property
    def options(self) -> dict[str, Any]:
        return {"REMOTE_ADDR": self.ip, "headers": {"user-agent": self.user_agent}}


PLACES = [
    Place("192.0.2.1", 1, "app/1"),
    Place("2001:db8::1", 2, "app/1"),
    Place("192.0.2.1", 1, "app/2"),
    Place("2001:db8::2", 2, "app/3"),
    Place("203.0.113.9", 3, "thief/1"),
]


def late(number: int) -> str:
    return f"late duplicate {number}"


@dataclass
class Generation:
    """A refresh token and the access tokens that came with it, the newest last."""

    raw_refresh_token: str
    raw_access_tokens: list[str]
    key: str  # of the refresh that made it
    place: Place
    rotated_at: datetime
    issued_at: datetime
    access_expires_at: datetime
    confirmed_at: datetime | None = None


@dataclass(eq=False)
class Session:
    user: User
    password: str  # hashed, as it was at the sign-in
    id: UUID
    installation: str
    opened_at: datetime
    generations: list[Generation] = field(default_factory=list)
    used_at: datetime | None = None
    idle_ends_at: datetime | None = None
    revoked_at: datetime | None = None
    reason: str = ""
    is_swept: bool = False
    # Of each thing that was recorded: when, and whether it is mailed.
    two_places: dict[str, tuple[datetime, bool]] = field(default_factory=dict)
    # When something of another source was recorded.
    away_at: list[datetime] = field(default_factory=list)
    # What the phone stored last, and the key that it stored for the refresh of that.
    held: int = 0
    key: str = ""
    # Somebody else used what the phone does not hold, or refreshed what it holds.
    is_shared: bool = False

    @property
    def newest(self) -> int:
        return len(self.generations) - 1

    @property
    def last(self) -> Generation:
        return self.generations[-1]

    @property
    def refresh_tokens(self) -> list[str]:
        return [made.raw_refresh_token for made in self.generations]

    @property
    def access_tokens(self) -> list[str]:
        return [raw for made in self.generations for raw in made.raw_access_tokens]

    @property
    def ends_at(self) -> datetime:
        assert self.idle_ends_at is not None
        return self.idle_ends_at

    @property
    def last_use(self) -> tuple[Any, datetime]:
        return self.used_at, self.opened_at

    def is_dead(self, now: datetime) -> bool:
        over = self.is_swept or self.revoked_at is not None or self.ends_at <= now
        return over or not self.user.is_active or self.password != self.user.password

    def end(self, reason: str, now: datetime) -> bool:
        if is_first := not (self.is_swept or self.revoked_at):
            self.revoked_at, self.reason = now, reason
        return is_first

    def judge(self, number: int, key: str, now: datetime, *, strict: bool) -> Verdict:
        """Say what the refresh token of a generation brings."""
        if self.is_dead(now):
            return "dead"
        if number == self.newest:
            return "rotate"
        made = self.generations[number + 1]
        confirmed_at = made.confirmed_at
        if made is not self.last:
            assert confirmed_at is not None
            if now >= confirmed_at + GRACE_PERIOD:
                is_last_eight = self.newest - number <= REMEMBERED_KEYS
                if not (key and key == made.key and is_last_eight):
                    return "reuse"
                first_at, _ = self.two_places.get(late(number), (now, False))
                return "later" if now < first_at + PATIENCE else "reuse"
        if key and key == made.key:
            return "retry"
        if not key and not made.key and not strict:
            is_open = confirmed_at is None or now < confirmed_at + GRACE_PERIOD
        else:
            is_open = now < made.rotated_at + GRACE_PERIOD
        return "retry" if is_open else "reuse"

    def advance(self, pair: dict[str, Any], key: str, place: Place, now: datetime) -> None:
        """Take in the pair of a sign-in or a rotation."""
        assert pair["refresh_token"] not in self.refresh_tokens
        assert pair["access_token"] not in self.access_tokens
        if self.generations:
            self.last.confirmed_at = self.last.confirmed_at or now
        self.used_at = now
        self.idle_ends_at = min(now + IDLE, self.opened_at + ABSOLUTE)
        refresh_token, access_token = pair["refresh_token"], [pair["access_token"]]
        expires_at = min(now + ACCESS_TTL, self.idle_ends_at)
        made = Generation(refresh_token, access_token, key, place, now, now, expires_at)
        made.confirmed_at = None if self.generations else now
        self.generations.append(made)
        self.assert_is_newest(pair, now)

    def retry(
        self, pair: dict[str, Any], number: int, key: str, place: Place, now: datetime
    ) -> None:
        """Take in the answer to a generation that was superseded."""
        last = self.last
        has_fresh_ones = len(last.raw_access_tokens) <= FRESH_ACCESS_TOKENS
        if last.access_expires_at <= now and has_fresh_ones:
            assert pair["access_token"] not in self.access_tokens
            last.raw_access_tokens.append(pair["access_token"])
            last.issued_at = now
            last.access_expires_at = min(now + ACCESS_TTL, self.ends_at)
        key_differs = key != self.generations[number + 1].key
        if place.differs(last.place, key_differs=key_differs):
            self.note(f"{ANOTHER_SOURCE} {self.newest}", now, sends_notification=True)
        elif key_differs:
            self.note(f"{ANOTHER_KEY} {self.newest}", now, sends_notification=False)
        self.assert_is_newest(pair, now)

    def note(self, what: str, now: datetime, *, sends_notification: bool) -> None:
        """Record something once; mailed at most once a day."""
        recent = any(at > now - MAIL_INTERVAL for at in self.away_at)
        if what not in self.two_places:
            self.two_places[what] = (now, sends_notification and not recent)
            self.away_at.extend([now] * sends_notification)

    def assert_is_newest(self, pair: dict[str, Any], now: datetime) -> None:
        assert pair["generation"] == self.newest
        assert pair["access_token"] == self.last.raw_access_tokens[-1]
        assert pair["refresh_token"] == self.last.raw_refresh_token
        # As if it had not been used: whoever asks shall not learn that it was.
        unused_until = min(self.last.access_expires_at, self.last.issued_at + ACCESS_TTL)
        assert pair["expires_in"] == max(0, (unused_until - now) // SECOND)
        assert pair["refresh_token_expires_in"] == (self.ends_at - now) // SECOND
        assert pair["session_expires_in"] == (self.opened_at + ABSOLUTE - now) // SECOND

    def accepts(self, raw_access_token: str, now: datetime) -> bool:
        """Say whether an access token of this session is good."""
        if self.is_dead(now):
            return False
        server_error_response = enumerate(self.generations)
        (number,) = [
            n for n, made in server_error_response if raw_access_token in made.raw_access_tokens
        ]
        made = self.generations[number]
        ends_at = made.access_expires_at
        if number < self.newest:
            ends_at = min(ends_at, self.generations[number + 1].rotated_at + GRACE_PERIOD)
        return raw_access_token == made.raw_access_tokens[-1] and now < ends_at

    def use(self, raw_access_token: str, now: datetime, *, renews: bool) -> bool:
        """Say whether an access token is good, and note its use; introspection renews nothing."""
        if not self.accepts(raw_access_token, now):
            return False
        last = self.last
        if raw_access_token not in last.raw_access_tokens:
            return True
        self.is_shared |= self.held < self.newest
        assert self.used_at is not None
        is_due = now - self.used_at > RENEWAL_INTERVAL
        if last.confirmed_at is None:
            last.confirmed_at = self.used_at = now
        if is_due and renews:
            renewed = min(now + ACCESS_TTL, last.issued_at + ACCESS_MAX_TTL, self.ends_at)
            last.access_expires_at = max(last.access_expires_at, renewed)
            self.used_at = now
        return True

    def is_old_and_refused(self, raw_token: str, now: datetime) -> bool:
        """Say whether this is an access token that was superseded and is accepted no longer."""
        is_old = raw_token in self.access_tokens[:-1]
        return is_old and not self.accepts(raw_token, now)

    @property
    def row(self) -> tuple[Any, ...]:
        last = self.last
        fresh = len(last.raw_access_tokens) - 1
        ends = (self.ends_at, self.reason, last.access_expires_at)
        return (
            self.id,
            self.newest,
            last.confirmed_at,
            last.rotated_at,
            fresh,
            self.used_at,
            *ends,
        )


ROW = (
    *("pk", "generation", "confirmed_at", "rotated_at", "fresh_access_count", "last_used_at"),
    *("idle_expires_at", "revoked_reason", "expiry"),
)
