"""Wire format, tags and the ratchet: pure functions of bytes and keys, no ORM, no HTTP.

A token is `<prefix><base64url(version 1 | key id 3 | session id 16 | generation 4 | secret 32 |
tag 16)>`, lengths in bytes. The tag, an HMAC under a key derived from SECRET_KEY, proves that this
server minted it before anything is looked up. Secrets form a ratchet: the successor's is the HMAC
of the presented one, so that whoever presents generation g again makes the server derive the very
same generation g + 1, which nobody can derive from the database, not even with the server's key.
"""

import hmac
import struct
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from secrets import token_bytes
from typing import Final, NewType
from uuid import UUID

from django.utils.encoding import force_bytes
from knox.crypto import hash_token

from authx import conf
from authx.errors import ForgedTokenError

RawToken = NewType("RawToken", str)
TokenDigest = NewType("TokenDigest", str)

VERSION: Final = 1
SECRET_SIZE: Final = 32
NONCE_SIZE: Final = 16
TAG_SIZE: Final = 16
KEY_ID_SIZE: Final = 3
# 72 bytes are 96 base64 characters with no bits left over: one token, one spelling.
BODY: Final = struct.Struct(f">B{KEY_ID_SIZE}s16sI{SECRET_SIZE}s")
ENCODED_SIZE: Final = (BODY.size + TAG_SIZE) * 4 // 3
SERVICE_PREFIX: Final = "axs_"


class TokenKind(Enum):
    """What a token is for; the kind is part of prefix and tag, so one never passes for another."""

    ACCESS = "access"
    REFRESH = "refresh"
    # The secret of a service, whose id takes the place of a session's; of generation 0 for ever.
    SERVICE = "service"

    @property
    def prefix(self) -> str:
        prefixes: dict[TokenKind, str] = {
            TokenKind.ACCESS: conf.knox("TOKEN_PREFIX"),
            TokenKind.REFRESH: conf.own("REFRESH_TOKEN_PREFIX"),
            TokenKind.SERVICE: SERVICE_PREFIX,
        }
        return prefixes[self]


@dataclass(frozen=True, slots=True)
class Token:
    """A token that this server minted; whether it is still good is not its business."""

    kind: TokenKind
    session_id: UUID
    generation: int
    secret: bytes = field(repr=False)


@lru_cache(maxsize=64)
def _derive_key(secret_key: str | bytes, purpose: str) -> bytes:
    return hmac.digest(force_bytes(secret_key), b"authx.v1." + purpose.encode(), "sha256")


def _key_id(secret_key: str | bytes) -> bytes:
    return _derive_key(secret_key, "id")[:KEY_ID_SIZE]


def _tag(secret_key: str | bytes, kind: TokenKind, body: bytes) -> bytes:
    key = _derive_key(secret_key, f"tag.{kind.value}")
    return hmac.digest(key, body, "sha256")[:TAG_SIZE]


def new_secret() -> bytes:
    return token_bytes(SECRET_SIZE)


def new_nonce() -> bytes:
    return token_bytes(NONCE_SIZE)


def digest_of(raw_token: RawToken) -> TokenDigest:
    """Return the only form of a token at rest, as hex of Knox's SECURE_HASH_ALGORITHM."""
    return TokenDigest(hash_token(raw_token))


def mint(token: Token, secret_key: str | bytes) -> RawToken:
    """Return the string that an app holds."""
    body = BODY.pack(
        VERSION, _key_id(secret_key), token.session_id.bytes, token.generation, token.secret
    )
    encoded = urlsafe_b64encode(body + _tag(secret_key, token.kind, body))
    return RawToken(token.kind.prefix + encoded.decode())


def parse(raw_token: str, kind: TokenKind) -> Token:
    """Return what a token says, once its tag proves that we minted it; costs no query.

    Raises ForgedTokenError for anything else.
    """
    decoded = _decode(raw_token, kind)
    body, tag = decoded[: BODY.size], decoded[BODY.size :]
    version, key_id, session_id, generation, secret = BODY.unpack(body)
    if version != VERSION:
        raise ForgedTokenError("unknown version")
    # Every accepted key is tried whose id fits; ids are public and may collide.
    matching = [key for key in conf.secret_keys() if _key_id(key) == key_id]
    if not any(hmac.compare_digest(_tag(key, kind, body), tag) for key in matching):
        raise ForgedTokenError("tag does not verify")
    return Token(kind, UUID(bytes=session_id), generation, secret)


def _decode(raw_token: str, kind: TokenKind) -> bytes:
    encoded = raw_token.removeprefix(kind.prefix)
    if len(raw_token) != len(kind.prefix) + ENCODED_SIZE or len(encoded) != ENCODED_SIZE:
        raise ForgedTokenError("wrong size or prefix")
    try:
        decoded = b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError as error:
        raise ForgedTokenError("not base64url") from error
    # The decoder also takes "+" and "/": another spelling of a token is not that token.
    if urlsafe_b64encode(decoded).decode() != encoded:
        raise ForgedTokenError("not canonical")
    return decoded


def successors(presented: Token, nonce: bytes) -> Iterator[RawToken]:
    """Yield the refresh token after `presented`, as each accepted key derives it.

    The first is the one to hand out; the others are what an older key handed out before.
    """
    return _ratchet(presented, TokenKind.REFRESH, nonce)


def access_tokens(presented: Token, nonce: bytes) -> Iterator[RawToken]:
    """Yield the access token paired with the successor of `presented`; keys as in `successors`."""
    return _ratchet(presented, TokenKind.ACCESS, nonce)


def _ratchet(presented: Token, kind: TokenKind, nonce: bytes) -> Iterator[RawToken]:
    generation = presented.generation + 1
    message = presented.secret + presented.session_id.bytes + struct.pack(">I", generation) + nonce
    for secret_key in conf.secret_keys():
        key = _derive_key(secret_key, f"ratchet.{kind.value}")
        secret = hmac.digest(key, message, "sha256")
        yield mint(Token(kind, presented.session_id, generation, secret), secret_key)
