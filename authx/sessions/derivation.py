"""Derives the tokens of a session from each other; the row stores only digests and nonces."""

from collections.abc import Callable, Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from authx import tokens
from authx.codec import digest_of, token_codec
from authx.errors import InvalidRefreshTokenError
from authx.models import DeviceSession
from authx.sessions.generations import Generation
from authx.sessions.state import access_expiry
from authx.tokens import MintedToken, RawToken, Token, TokenDigest


def new_access_token(
    refresh_token: Token, *, session_expires_at: datetime, now: datetime, ttl: timedelta
) -> tuple[RawToken, dict[str, Any]]:
    """Return a new access token of a refresh token, and the columns to store."""
    nonce = tokens.new_nonce()
    raw_token = next(token_codec().access_tokens(refresh_token, nonce)).raw_token
    expiry = access_expiry(
        issued_at=now, used_at=now, session_expires_at=session_expires_at, ttl=ttl
    )
    columns = {
        "digest": digest_of(raw_token),
        "created": now,
        "expiry": expiry,
        "access_nonce": nonce,
    }
    return raw_token, columns


def derive_newest(token: Token, generations: Sequence[Generation]) -> MintedToken:
    """Derive the newest refresh token step by step from an older one."""
    derived = MintedToken(token, RawToken(""))
    for generation in generations:
        successors = token_codec().successors(derived.token, generation.refresh_nonce)
        derived = _known(successors, generation.matches_refresh)
    return derived


def derive_access_token(refresh_token: Token, session: DeviceSession) -> RawToken:
    """Derive the newest access token of a session from its newest refresh token."""
    candidates = token_codec().access_tokens(refresh_token, bytes(session.access_nonce))
    return _known(candidates, lambda digest: digest == session.digest).raw_token


def _known(
    candidates: Iterable[MintedToken], is_known: Callable[[TokenDigest], bool]
) -> MintedToken:
    """Return the candidate that was issued: its digest shows which key derived it."""
    for candidate in candidates:
        if is_known(digest_of(candidate.raw_token)):
            return candidate
    # Its key is no longer accepted, or a restored backup lost a rotation.
    raise InvalidRefreshTokenError("does not lead to the newest generation")
