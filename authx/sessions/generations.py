"""The generations that a row stores: the newest, and superseded ones in their grace period.

Each has a grace period of its own. A request with an older refresh token is judged by the
generation that this token's rotation made (its successor).
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

# A prefix of a digest distinguishes the tokens of one session; tags prove them genuine.
SHORT_DIGEST_SIZE: Final = 16
NO_KEY: Final = bytes(IDEMPOTENCY_DIGEST_SIZE)
# The number of rotations whose idempotency keys are recognised, however late.
REMEMBERED_KEYS: Final = 8
# Far above what the refresh rate limit allows in a grace period.
MAX_RECENT: Final = 128
EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
MICROSECOND: Final = timedelta(microseconds=1)
PACKED: Final = struct.Struct(
    f">{SHORT_DIGEST_SIZE}s{NONCE_SIZE}s{IDEMPOTENCY_DIGEST_SIZE}sqq{SHORT_DIGEST_SIZE}sq"
)


@dataclass(frozen=True, slots=True)
class Generation:
    """How the refresh token of a generation was derived, and when it was issued and first used."""

    refresh_digest: bytes = field(repr=False)
    refresh_nonce: bytes = field(repr=False)
    # Of the idempotency key of the refresh that made this generation; NO_KEY without one.
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
    """The stored generations of a session: `known`, without a gap, the newest last."""

    def __init__(self, session: DeviceSession) -> None:
        packed = bytes(session.recent)
        starts = range(0, len(packed), PACKED.size)
        self.known = [Generation.unpack(packed[at : at + PACKED.size]) for at in starts]
        self.known.append(newest_of(session))
        self._oldest = session.generation - len(self.known) + 1

    def since(self, number: int) -> Sequence[Generation]:
        """Return a generation and those after it; empty if it is no longer stored."""
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
    """Return `recent` as a rotation at `now` has to store it, with the present newest generation.

    Raises TooManyRotationsError for more generations than a row may store.
    """
    newest = replace(newest_of(session), confirmed_at=session.confirmed_at or now)
    known = [*Generations(session).known[:-1], newest]
    replaced_at = [*(later.rotated_at for later in known[1:]), now]
    alive = [
        _matters(generation, at, now) for generation, at in zip(known, replaced_at, strict=True)
    ]
    # Removed only from the front, so that there is no gap.
    kept = known[alive.index(True) :] if any(alive) else []
    if len(kept) > MAX_RECENT:
        raise TooManyRotationsError(conf.refresh_token_grace_period())
    return b"".join(generation.pack() for generation in kept)


def _matters(generation: Generation, replaced_at: datetime, now: datetime) -> bool:
    """Return whether a superseded generation may still be retried or its access token used."""
    since = now - conf.refresh_token_grace_period()
    answers = generation.confirmed_at is not None and generation.confirmed_at > since
    return answers or (generation.access_expires_at > now and replaced_at > since)


def digests_after_rotation(session: DeviceSession, digest: bytes) -> bytes:
    """Return the digests of the idempotency keys of the last rotations, the newest first.

    A rotation without a key takes a place too; without any key the result is empty.
    """
    digests = (digest + bytes(session.idempotency_digests))[: REMEMBERED_KEYS * len(NO_KEY)]
    return digests if digests.strip(b"\0") else b""


def remembers_key(session: DeviceSession, digests: Iterable[bytes]) -> bool:
    """Return whether an idempotency key belongs to one of the last rotations."""
    packed = bytes(session.idempotency_digests)
    known = {packed[at : at + len(NO_KEY)] for at in range(0, len(packed), len(NO_KEY))}
    return not known.isdisjoint(digests)
