"""The retry of a lost answer: the same pair again."""

from collections.abc import Iterator
from datetime import datetime

from authx import conf, tokens
from authx.conf import RetryPolicy
from authx.errors import InvalidRefreshTokenError
from authx.models import AccessToken, DeviceSession
from authx.sessions.access import access_token_row
from authx.sessions.presented import Found, Presented
from authx.sessions.values import TokenPair
from authx.tokens import RawToken


def may_retry(session: DeviceSession, now: datetime) -> bool:
    """Say whether the immediate predecessor may still be answered; no retry moves this instant."""
    window = conf.straggler_window()
    if conf.own("RETRY") == RetryPolicy.STRICT:
        return now < session.rotated_at + window
    # Apps send requests side by side: some carry the old token although the new one is in use.
    return session.confirmed_at is None or now < session.confirmed_at + window


def repeat_pair(found: Found, presented: Presented) -> TokenPair | None:
    """Derive the pair that was handed out before; None once its access token is issued afresh."""
    session, token, now = found.session, presented.token, presented.now
    raw_refresh_token = _handed_out(tokens.successors(token, bytes(session.nonce)), session.digest)
    if not found.access_nonce or not found.access_expires_at or found.access_expires_at <= now:
        _reissue_access_token(found, presented)
        return None
    raw_access_token = _handed_out(
        tokens.access_tokens(token, bytes(found.access_nonce)), found.access_digest
    )
    return TokenPair(session, raw_access_token, raw_refresh_token, found.access_expires_at, now)


def _handed_out(candidates: Iterator[RawToken], digest: str | None) -> RawToken:
    for raw_token in candidates:
        if tokens.digest_of(raw_token) == digest:
            return raw_token
    raise InvalidRefreshTokenError("its key is no longer accepted")


def _reissue_access_token(found: Found, presented: Presented) -> None:
    """Give the newest generation a fresh access token for the one that expired unused.

    Whoever loses this to a parallel retry reads the winner's: there is one row a generation.
    """
    nonce = tokens.new_nonce()
    access_token = access_token_row(
        raw_token=next(tokens.access_tokens(presented.token, nonce)),
        session=found.session,
        generation=found.session.generation,
        nonce=nonce,
        now=presented.now,
    )
    if found.access_digest is None:
        AccessToken.objects.bulk_create([access_token], ignore_conflicts=True)
        return
    AccessToken.objects.filter(pk=found.access_digest, expiry__lte=presented.now).update(
        digest=access_token.digest,
        token_key=access_token.token_key,
        nonce=nonce,
        created=presented.now,
        last_used_at=presented.now,
        expiry=access_token.expiry,
    )
