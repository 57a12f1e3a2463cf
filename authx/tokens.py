"""Wire format, tags and the ratchet: pure functions of bytes and keys; no ORM, HTTP or settings.

A token is `<prefix><base64url(version 1 | key id 3 | session id 16 | generation 4 | secret 32 |
tag 16)>`, lengths in bytes. The tag, an HMAC under a key derived from SECRET_KEY, proves without a
query that this server minted the token.

Secrets form a ratchet: the refresh token of generation g + 1 is derived from that of generation g,
and the access token of a generation from its refresh token. From an older refresh token the server
can derive the newest pair. The database stores only digests and nonces, from which it cannot.
"""

import hmac
import struct
from base64 import b64decode, urlsafe_b64encode
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from functools import lru_cache
from secrets import token_bytes
from typing import Final, NewType
from uuid import UUID

from django.utils.encoding import force_bytes

from authx.errors import ForgedTokenError

RawToken = NewType("RawToken", str)
TokenDigest = NewType("TokenDigest", str)

VERSION: Final = 1
SECRET_SIZE: Final = 32
NONCE_SIZE: Final = 16
TAG_SIZE: Final = 16
KEY_ID_SIZE: Final = 3
IDEMPOTENCY_DIGEST_SIZE: Final = 16
# 72 bytes are exactly 96 base64 characters, so a token has only one spelling.
BODY: Final = struct.Struct(f">B{KEY_ID_SIZE}s16sI{SECRET_SIZE}s")
ENCODED_SIZE: Final = (BODY.size + TAG_SIZE) * 4 // 3
GENERATION: Final = struct.Struct(">I")


class TokenKind(Enum):
    """The kind of a token; it is part of prefix and tag, so one kind is never taken for another."""

    ACCESS = "access"
    REFRESH = "refresh"
    # The secret of a service; its id is in place of a session's, and its generation is 0.
    SERVICE = "service"
    # What a device shows at its next sign-in; its id is in place of a session's.
    DEVICE = "device"


@dataclass(frozen=True, slots=True)
class Token:
    """A token that this server minted; the database decides whether it is still valid."""

    kind: TokenKind
    session_id: UUID
    generation: int
    secret: bytes = field(repr=False)


@dataclass(frozen=True, slots=True)
class MintedToken:
    """A token and the string that an app holds."""

    token: Token
    raw_token: RawToken = field(repr=False)


@dataclass(frozen=True, slots=True, repr=False)
class SigningKey:
    """The keys derived from one SECRET_KEY, one per purpose."""

    key_id: bytes
    tags: Mapping[TokenKind, bytes]
    ratchets: Mapping[TokenKind, bytes]
    idempotency: bytes
    devices: bytes

    @classmethod
    def derive(cls, secret_key: str | bytes) -> "SigningKey":
        def derived(purpose: str) -> bytes:
            message = b"authx.v1." + purpose.encode()
            return hmac.digest(force_bytes(secret_key), message, "sha256")

        return cls(
            derived("id")[:KEY_ID_SIZE],
            {kind: derived(f"tag.{kind.value}") for kind in TokenKind},
            {kind: derived(f"ratchet.{kind.value}") for kind in TokenKind},
            derived("idempotency"),
            derived("devices"),
        )

    def tag(self, kind: TokenKind, body: bytes) -> bytes:
        return hmac.digest(self.tags[kind], body, "sha256")[:TAG_SIZE]

    def bind(self, device_id: UUID, subject: str) -> bytes:
        """Return half of the secret of a device credential."""
        message = device_id.bytes + subject.encode()
        return hmac.digest(self.devices, message, "sha256")[: SECRET_SIZE // 2]


@dataclass(frozen=True, slots=True, repr=False)
class TokenCodec:
    """Mints and parses tokens; of `keys`, the first one signs and all are accepted."""

    prefixes: Mapping[TokenKind, str]
    keys: Sequence[SigningKey]

    def mint(self, token: Token) -> RawToken:
        """Return the string that an app holds."""
        return self._mint(token, self.keys[0])

    def parse(self, raw_token: str, kind: TokenKind) -> Token:
        """Return the token of a string whose tag verifies; raises ForgedTokenError otherwise."""
        decoded = _decode(raw_token, self.prefixes[kind])
        body, tag = decoded[: BODY.size], decoded[BODY.size :]
        version, key_id, session_id, generation, secret = BODY.unpack(body)
        if version != VERSION:
            raise ForgedTokenError("unknown version")
        # Key ids are public and may collide: every key with this id is tried.
        matching = [key for key in self.keys if key.key_id == key_id]
        if not any(hmac.compare_digest(key.tag(kind, body), tag) for key in matching):
            raise ForgedTokenError("tag does not verify")
        return Token(kind, UUID(bytes=session_id), generation, secret)

    def successors(self, presented: Token, nonce: bytes) -> Iterator[MintedToken]:
        """Yield the refresh token of the generation after `presented`, as derived by each key.

        The first is the one to issue; an older key may have issued one of the others.
        """
        return self._derive(presented, TokenKind.REFRESH, presented.generation + 1, nonce)

    def access_tokens(self, refresh_token: Token, nonce: bytes) -> Iterator[MintedToken]:
        """Yield the access token of a refresh token's generation, as derived by each key."""
        return self._derive(refresh_token, TokenKind.ACCESS, refresh_token.generation, nonce)

    def idempotency_digests(self, idempotency_key: str, presented: Token) -> Iterator[bytes]:
        """Yield the keyed digest of the idempotency key of one refresh, by each key.

        It is bound to session and generation, in case an app uses one idempotency key for several
        refreshes by mistake.
        """
        message = (
            presented.session_id.bytes
            + GENERATION.pack(presented.generation)
            + idempotency_key.encode()
        )
        for key in self.keys:
            digest = hmac.digest(key.idempotency, message, "sha256")
            yield digest[:IDEMPOTENCY_DIGEST_SIZE]

    def mint_device(self, device_id: UUID, *, user: str, password: str) -> RawToken:
        """Return the credential of a device for one user, under the password of today."""
        key = self.keys[0]
        secret = key.bind(device_id, user) + key.bind(device_id, password)
        return self._mint(Token(TokenKind.DEVICE, device_id, 0, secret), key)

    def is_device_of(self, credential: Token, *, user: str) -> bool:
        """Return whether a device credential was minted for this user."""
        half = credential.secret[: SECRET_SIZE // 2]
        return self._is_bound(half, credential.session_id, user)

    def is_device_under(self, credential: Token, *, passwords: Iterable[str]) -> bool:
        """Return whether a device credential was minted under one of these password digests."""
        half = credential.secret[SECRET_SIZE // 2 :]
        return any(self._is_bound(half, credential.session_id, one) for one in passwords)

    def _is_bound(self, half: bytes, device_id: UUID, subject: str) -> bool:
        return any(hmac.compare_digest(key.bind(device_id, subject), half) for key in self.keys)

    def _derive(
        self, parent: Token, kind: TokenKind, generation: int, nonce: bytes
    ) -> Iterator[MintedToken]:
        message = parent.secret + parent.session_id.bytes + GENERATION.pack(generation) + nonce
        for key in self.keys:
            secret = hmac.digest(key.ratchets[kind], message, "sha256")
            token = Token(kind, parent.session_id, generation, secret)
            yield MintedToken(token, self._mint(token, key))

    def _mint(self, token: Token, key: SigningKey) -> RawToken:
        body = BODY.pack(
            VERSION, key.key_id, token.session_id.bytes, token.generation, token.secret
        )
        encoded = urlsafe_b64encode(body + key.tag(token.kind, body))
        return RawToken(self.prefixes[token.kind] + encoded.decode())


@lru_cache(maxsize=16)
def make_codec(
    access_prefix: str,
    refresh_prefix: str,
    service_prefix: str,
    device_prefix: str,
    secret_keys: tuple[str | bytes, ...],
) -> TokenCodec:
    """Return the codec of these prefixes and keys; cached, because deriving keys is slow."""
    prefixes = {
        TokenKind.ACCESS: access_prefix,
        TokenKind.REFRESH: refresh_prefix,
        TokenKind.SERVICE: service_prefix,
        TokenKind.DEVICE: device_prefix,
    }
    return TokenCodec(prefixes, [SigningKey.derive(key) for key in secret_keys])


def new_secret() -> bytes:
    return token_bytes(SECRET_SIZE)


def new_nonce() -> bytes:
    return token_bytes(NONCE_SIZE)


def _decode(raw_token: str, prefix: str) -> bytes:
    encoded = raw_token.removeprefix(prefix)
    if len(raw_token) != len(prefix) + ENCODED_SIZE or len(encoded) != ENCODED_SIZE:
        raise ForgedTokenError("wrong size or prefix")
    try:
        decoded = b64decode(encoded, altchars=b"-_", validate=True)
    except ValueError as error:
        raise ForgedTokenError("not base64url") from error
    # The decoder also accepts "+" and "/", which would be a second spelling of a token.
    if urlsafe_b64encode(decoded).decode() != encoded:
        raise ForgedTokenError("not canonical")
    return decoded
