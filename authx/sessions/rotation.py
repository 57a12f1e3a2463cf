"""Refresh: rotates a session, answers a retry with the same pair, catches a thief.

The row is read first and changed by one conditional UPDATE: the snapshot of the password hash
cannot be computed in SQL, and so a refusal writes nothing. Who loses the UPDATE reads again.
"""

from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from django.db import IntegrityError, transaction
from django.views.decorators.debug import sensitive_variables

from authx import conf, tokens
from authx.context import Source
from authx.errors import ForgedTokenError, InvalidRefreshTokenError, RefreshTokenReusedError
from authx.models import AccessToken, DeviceSession, RevocationReason
from authx.sessions.access import access_token_row
from authx.sessions.contention import until_settled
from authx.sessions.presented import Found, Presented, find_session
from authx.sessions.retry import may_retry, repeat_pair
from authx.sessions.revocation import revoke_session
from authx.sessions.values import TokenPair
from authx.signals import send_after_commit, token_reused
from authx.tokens import RawToken, TokenDigest, TokenKind
from authx.trail.telling import tell_after_commit
from authx.trail.vocabulary import SESSION_RENEWED


@dataclass(frozen=True, slots=True)
class Reuse:
    """The outcome when a consumed token came back."""


@sensitive_variables()
def rotate_session(*, raw_token: str, source: Source) -> TokenPair:
    """Consume a refresh token and return its session's next pair (RFC 9700 section 4.14.2).

    The immediate predecessor, presented again while it may be retried, gets the same pair again.
    Raises RefreshTokenReusedError after revoking the session, InvalidRefreshTokenError otherwise.
    """
    try:
        token = tokens.parse(raw_token, TokenKind.REFRESH)
    except ForgedTokenError as error:
        raise InvalidRefreshTokenError(error.reason) from error
    presented = Presented(token, tokens.digest_of(RawToken(raw_token)), source)
    outcome = cast("TokenPair | Reuse", until_settled(partial(_decide, presented)))
    if isinstance(outcome, Reuse):
        # Raised outside the transaction: inside, it would roll the revocation back.
        raise RefreshTokenReusedError("reuse")
    return outcome


def _decide(presented: Presented) -> TokenPair | Reuse | None:
    """Answer in one transaction; None if it came to nothing because something else was faster."""
    # Durable: inside somebody else's transaction, the revocation of a thief could be rolled back.
    # An IntegrityError means that a parallel retry stored its access token first, or that the
    # person is being deleted: the next read says which.
    with suppress(IntegrityError), transaction.atomic(durable=True):
        return _answer(presented)
    return None


def _answer(presented: Presented) -> TokenPair | Reuse | None:
    """Decide on what the row says now; None if it changed before it could be written."""
    found = find_session(presented)
    session, token = found.session, presented.token
    if token.generation == session.generation and presented.digest == session.digest:
        return _advance(found, presented)
    if token.generation >= session.generation:
        # Genuine, but not of this row's history: the database lost a rotation (a restored backup).
        raise InvalidRefreshTokenError("ahead of its session")
    if presented.digest == session.previous_digest and may_retry(session, found.now):
        return repeat_pair(found, presented)
    return _revoke_reused(session, presented)


def _advance(found: Found, presented: Presented) -> TokenPair | None:
    """Rotate: consume this generation, hand out the next."""
    session, token, now = found.session, presented.token, found.now
    nonce, access_nonce = tokens.new_nonce(), tokens.new_nonce()
    raw_refresh_token = next(tokens.successors(token, nonce))
    raw_access_token = next(tokens.access_tokens(token, access_nonce))
    if not _consume(found, presented, nonce, tokens.digest_of(raw_refresh_token)):
        return None
    # The predecessor's access token stays for the straggler window; older ones have no use left.
    AccessToken.objects.filter(session=session, generation__lt=token.generation).delete()
    access_token = access_token_row(
        raw_token=raw_access_token,
        session=session,
        nonce=access_nonce,
        now=now,
    )
    access_token.save(force_insert=True)
    tell_after_commit(SESSION_RENEWED, user_id=session.user_id, session_id=session.pk)
    return TokenPair(session, raw_access_token, raw_refresh_token, access_token.expiry, now)


def _consume(found: Found, presented: Presented, nonce: bytes, digest: TokenDigest) -> bool:
    """Move the row to the next generation, and say whether this process did it."""
    session, now = found.session, found.now
    changes: dict[str, Any] = {
        "generation": presented.token.generation + 1,
        "digest": digest,
        "previous_digest": presented.digest,
        "nonce": nonce,
        # A snapshot under a key that is on its way out moves to the one in use.
        "auth_hash": session.user.get_session_auth_hash(),
        "rotated_at": now,
        "confirmed_at": None,
        "idle_expires_at": min(now + conf.refresh_token_ttl(), session.absolute_expires_at),
        "last_used_at": now,
        "last_ip": presented.source.ip,
        "last_user_agent": presented.source.user_agent,
    }
    # Only columns of this very row: a condition through a join becomes a subquery, which a
    # process that waited for the row lock would not evaluate anew, and two would win.
    unchanged = DeviceSession.objects.unrevoked().filter(
        pk=session.pk,
        generation=presented.token.generation,
        digest=presented.digest,
        auth_hash=session.auth_hash,
        idle_expires_at__gt=now,
    )
    won = unchanged.update(**changes)
    for name, value in changes.items():
        setattr(session, name, value)
    return bool(won)


def _revoke_reused(session: DeviceSession, presented: Presented) -> Reuse:
    """End a session whose consumed token came back: the thief and the phone look alike."""
    generation = presented.token.generation
    detail = f"generation {generation} came back at {session.generation}"
    if revoke_session(session=session, reason=RevocationReason.REUSE_DETECTED, detail=detail):
        send_after_commit(
            token_reused, sender=DeviceSession, session_id=session.pk, generation=generation
        )
    return Reuse()
