"""What a row knows of its generations: the newest, and those superseded a moment ago.

Each has a grace period of its own. For a request that presents an older refresh token, what counts
is the generation that its rotation made (its successor).
"""

import struct
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from authx import conf
from authx.errors import TooManyRotationsError
from authx.models import DeviceSession
from authx.tokens import IDEMPOTENCY_DIGEST_SIZE, NONCE_SIZE, TokenDigest

# A prefix of a digest tells the few tokens of one session apart; their tags prove them genuine.
SHORT_DIGEST_SIZE: Final = 16
NO_KEY: Final = bytes(IDEMPOTENCY_DIGEST_SIZE)
# The rotations whose idempotency keys are recognised, however late.
REMEMBERED_KEYS: Final = 8
# Far above what the refresh rate limit lets through in a grace period.
MAX_RECENT: Final = 128
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
PACKED: Final = struct.Struct(
    f">{SHORT_DIGEST_SIZE}s{NONCE_SIZE}s{IDEMPOTENCY_DIGEST_SIZE}sqq{SHORT_DIGEST_SIZE}sq"
)


@dataclass(frozen=True, slots=True)
class Generation:
    """One generation: how its refresh token was derived, when it came and when it was used."""

    refresh_digest: bytes = field(repr=False)
    refresh_nonce: bytes = field(repr=False)
    # Of the key that the app sent with the refresh that made this generation; NO_KEY without one.
    idempotency_digest: bytes = field(repr=False)
    rotated_at: datetime
    confirmed_at: datetime | None
    access_digest: bytes = field(repr=False)
    access_expires_at: datetime

    def matches_refresh(self, digest: TokenDigest) -> bool:
        return shortened(digest) == self.refresh_digest

    def matches_access(self, digest: TokenDigest) -> bool:
        return shortened(digest) == self.access_digest

    def pack(self) -> bytes:
        """Return the stored form of a superseded generation, which is always confirmed."""
        return PACKED.pack(
            self.refresh_digest,
            self.refresh_nonce,
            self.idempotency_digest,
            _microseconds(self.rotated_at),
            _microseconds(self.confirmed_at or self.rotated_at),
            self.access_digest,
            _microseconds(self.access_expires_at),
        )

    @classmethod
    def unpack(cls, packed: bytes) -> "Generation":
        refresh, nonce, key, rotated, confirmed, access, expires = PACKED.unpack(packed)
        return cls(
            refresh, nonce, key, _instant(rotated), _instant(confirmed), access, _instant(expires)
        )


class Generations:
    """The generations that a session knows: `known`, without a gap, the newest last."""

    def __init__(self, session: DeviceSession) -> None:
        packed = bytes(session.recent)
        starts = range(0, len(packed), PACKED.size)
        self.known = [Generation.unpack(packed[at : at + PACKED.size]) for at in starts]
        self.known.append(newest_of(session))
        self._oldest = session.generation - len(self.known) + 1

    def since(self, number: int) -> Sequence[Generation]:
        """Return a generation and those after it; nothing if it is known no longer."""
        return self.known[number - self._oldest :] if number >= self._oldest else ()


def newest_of(session: DeviceSession) -> Generation:
    return Generation(
        shortened(TokenDigest(session.refresh_digest)),
        bytes(session.refresh_nonce),
        bytes(session.idempotency_digests)[:IDEMPOTENCY_DIGEST_SIZE] or NO_KEY,
        session.rotated_at,
        session.confirmed_at,
        shortened(TokenDigest(session.digest)),
        session.expiry,
    )


def shortened(digest: TokenDigest) -> bytes:
    return bytes.fromhex(digest)[:SHORT_DIGEST_SIZE]


def _microseconds(instant: datetime) -> int:
    return (instant - EPOCH) // MICROSECOND


def _instant(microseconds: int) -> datetime:
    return EPOCH + microseconds * MICROSECOND


def recent_after_rotation(session: DeviceSession, now: datetime) -> bytes:
    """Return what a rotation at `now` leaves to know of generations; the newest joins them.

    Raises TooManyRotationsError for more of them than a row can hold.
    """
    newest = replace(newest_of(session), confirmed_at=session.confirmed_at or now)
    known = [*Generations(session).known[:-1], newest]
    replaced_at = [*(later.rotated_at for later in known[1:]), now]
    alive = [
        _matters(generation, at, now) for generation, at in zip(known, replaced_at, strict=True)
    ]
    # Only from the front, so that none is missing between two that are known.
    kept = known[alive.index(True) :] if any(alive) else []
    if len(kept) > MAX_RECENT:
        raise TooManyRotationsError(conf.refresh_token_grace_period())
    return b"".join(generation.pack() for generation in kept)


def _matters(generation: Generation, replaced_at: datetime, now: datetime) -> bool:
    """Say whether a superseded generation may still answer a retry or accept its access token."""
    since = now - conf.refresh_token_grace_period()
    answers = generation.confirmed_at is not None and generation.confirmed_at > since
    return answers or (generation.access_expires_at > now and replaced_at > since)


def digests_after_rotation(session: DeviceSession, digest: bytes) -> bytes:
    """Return the digests of the idempotency keys of the last rotations, the newest first.

    A rotation without a key counts as one; without any key there is nothing to keep.
    """
    digests = (digest + bytes(session.idempotency_digests))[: REMEMBERED_KEYS * len(NO_KEY)]
    return digests if digests.strip(b"\0") else b""


def remembers_key(session: DeviceSession, digests: Iterable[bytes]) -> bool:
    """Say whether an idempotency key belongs to one of the last rotations."""
    packed = bytes(session.idempotency_digests)
    known = {packed[at : at + len(NO_KEY)] for at in range(0, len(packed), len(NO_KEY))}
    return not known.isdisjoint(digests)
