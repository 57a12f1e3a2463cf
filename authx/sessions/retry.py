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
from authx.trail.telling import tell_after_commit
from authx.trail.vocabulary import SESSION_RENEWED, TOKEN_CREATED, Entry


def may_retry(session: DeviceSession, now: datetime) -> bool:
    """Say whether the immediate predecessor may still be answered; no retry moves this instant."""
    window = conf.straggler_window()
    if conf.own("RETRY") == RetryPolicy.STRICT:
        return now < session.rotated_at + window
    # Apps send requests side by side: some carry the old token although the new one is in use.
    return session.confirmed_at is None or now < session.confirmed_at + window


def repeat_pair(found: Found, presented: Presented) -> TokenPair | None:
    """Derive the pair that was handed out before; None if a parallel retry was faster."""
    session, token, now = found.session, presented.token, found.now
    raw_refresh_token = _handed_out(tokens.successors(token, bytes(session.nonce)), session.digest)
    if not found.access_nonce or not found.access_expires_at or found.access_expires_at <= now:
        return _with_fresh_access_token(found, presented, raw_refresh_token)
    raw_access_token = _handed_out(
        tokens.access_tokens(token, bytes(found.access_nonce)), found.access_digest
    )
    _tell(SESSION_RENEWED, session)
    return TokenPair(session, raw_access_token, raw_refresh_token, found.access_expires_at, now)


def _tell(entry: Entry, session: DeviceSession) -> None:
    tell_after_commit(entry, user_id=session.user_id, session_id=session.pk, reason="retry")


def _handed_out(candidates: Iterator[RawToken], digest: str | None) -> RawToken:
    for raw_token in candidates:
        if tokens.digest_of(raw_token) == digest:
            return raw_token
    raise InvalidRefreshTokenError("its key is no longer accepted")


def _with_fresh_access_token(
    found: Found, presented: Presented, raw_refresh_token: RawToken
) -> TokenPair | None:
    """Answer with a fresh access token for the one that expired unused."""
    session, now = found.session, found.now
    # Held to the end: who deletes the person would not see a row that comes in beside them.
    unchanged = DeviceSession.objects.unrevoked().filter(
        pk=session.pk, generation=session.generation
    )
    if not list(unchanged.select_for_update(no_key=True, of=("self",)).values_list("pk")):
        return None
    nonce = tokens.new_nonce()
    raw_access_token = next(tokens.access_tokens(presented.token, nonce))
    access_token = access_token_row(
        raw_token=raw_access_token, session=session, nonce=nonce, now=now
    )
    if not _store(access_token, in_place_of=found.access_digest, now=now):
        return None
    _tell(TOKEN_CREATED, session)
    return TokenPair(session, raw_access_token, raw_refresh_token, access_token.expiry, now)


def _store(access_token: AccessToken, *, in_place_of: str | None, now: datetime) -> bool:
    """Say whether this process stored it; there is one row a generation.

    Raises IntegrityError where a parallel retry inserted the first.
    """
    if in_place_of is None:
        access_token.save(force_insert=True)
        return True
    stored = AccessToken.objects.filter(pk=in_place_of, expiry__lte=now).update(
        digest=access_token.digest,
        token_key=access_token.token_key,
        nonce=access_token.nonce,
        created=now,
        last_used_at=now,
        expiry=access_token.expiry,
    )
    return bool(stored)
