"""Refresh: rotates a session, answers a retry with the same pair, catches a thief.

The row is read first and changed by one conditional UPDATE: the snapshot of the password hash
cannot be computed in SQL, and so a refusal writes nothing. Who loses the UPDATE reads again.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any, cast

from django.db import transaction
from django.db.models import OuterRef, Subquery
from django.utils import timezone

from authx import conf, tokens
from authx.conf import RetryPolicy
from authx.errors import ForgedTokenError, InvalidRefreshTokenError, RefreshTokenReusedError
from authx.models import AccessToken, DeviceSession, RevocationReason
from authx.sessions.access import access_token_row
from authx.sessions.contention import until_settled
from authx.sessions.liveness import why_dead
from authx.sessions.revocation import revoke_session
from authx.sessions.values import Source, TokenPair
from authx.signals import send_after_commit, token_reused
from authx.tokens import RawToken, Token, TokenDigest, TokenKind

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was handed in: what it says, when, and from where."""

    token: Token
    digest: TokenDigest
    now: datetime
    source: Source


@dataclass(frozen=True, slots=True)
class Found:
    """A session as a refresh reads it, with its newest access token, if that one has a row."""

    session: DeviceSession
    access_digest: str | None
    access_nonce: bytes | None
    access_expires_at: datetime | None


@dataclass(frozen=True, slots=True)
class Reuse:
    """The outcome when a consumed token came back."""

    session_id: str
    generation: int


def rotate_session(*, raw_token: str, source: Source) -> TokenPair:
    """Consume a refresh token and return its session's next pair (RFC 9700 section 4.14.2).

    The immediate predecessor, presented again while it may be retried, gets the same pair again.
    Raises RefreshTokenReusedError after revoking the session, InvalidRefreshTokenError otherwise.
    """
    try:
        token = tokens.parse(raw_token, TokenKind.REFRESH)
    except ForgedTokenError as error:
        raise InvalidRefreshTokenError(error.reason) from error
    presented = Presented(token, tokens.digest_of(RawToken(raw_token)), timezone.now(), source)
    # Durable: inside somebody else's transaction, the revocation of a thief could be rolled back.
    with transaction.atomic(durable=True):
        outcome = cast("TokenPair | Reuse", until_settled(partial(_answer, presented)))
    if isinstance(outcome, Reuse):
        # Raised outside the block on purpose: inside, it would roll the revocation back.
        raise RefreshTokenReusedError("reuse")
    return outcome


def _answer(presented: Presented) -> TokenPair | Reuse | None:
    """Decide on what the row says now; None if it changed before it could be written."""
    found = _find(presented)
    session, token = found.session, presented.token
    if token.generation == session.generation and presented.digest == session.digest:
        return _advance(session, presented)
    if token.generation >= session.generation:
        # Genuine, but not of this row's history: the database lost a rotation (a restored backup).
        raise InvalidRefreshTokenError("ahead of its session")
    if presented.digest == session.previous_digest and _may_retry(session, presented.now):
        return _repeat(found, presented)
    return _revoke_reused(session, presented)


def _find(presented: Presented) -> Found:
    newest = AccessToken.objects.filter(
        session=OuterRef("pk"), generation=OuterRef("generation")
    ).order_by()
    session = (
        DeviceSession.objects.select_related("user")
        .annotate(
            access_digest=Subquery(newest.values("digest")),
            access_nonce=Subquery(newest.values("nonce")),
            access_expires_at=Subquery(newest.values("expiry")),
        )
        .filter(pk=presented.token.session_id)
        .first()
    )
    reason = "gone" if session is None else why_dead(session, presented.now)
    if session is None or reason:
        raise InvalidRefreshTokenError(reason)
    return Found(
        session,
        # Annotations, which no checker sees.
        access_digest=getattr(session, "access_digest", None),
        access_nonce=getattr(session, "access_nonce", None),
        access_expires_at=getattr(session, "access_expires_at", None),
    )


def _advance(session: DeviceSession, presented: Presented) -> TokenPair | None:
    """Rotate: consume this generation, hand out the next."""
    token, now = presented.token, presented.now
    nonce, access_nonce = tokens.new_nonce(), tokens.new_nonce()
    raw_refresh_token = next(tokens.successors(token, nonce))
    raw_access_token = next(tokens.access_tokens(token, access_nonce))
    changes: dict[str, Any] = {
        "generation": token.generation + 1,
        "digest": tokens.digest_of(raw_refresh_token),
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
    won = (
        DeviceSession.objects.unrevoked()
        .filter(
            pk=session.pk,
            generation=token.generation,
            digest=presented.digest,
            auth_hash=session.auth_hash,
            idle_expires_at__gt=now,
        )
        .update(**changes)
    )
    if not won:
        return None
    for name, value in changes.items():
        setattr(session, name, value)
    # The predecessor's access token stays for the straggler window; older ones have no use left.
    AccessToken.objects.filter(session=session, generation__lt=token.generation).delete()
    access_token = access_token_row(
        raw_token=raw_access_token,
        session=session,
        generation=session.generation,
        nonce=access_nonce,
        now=now,
    )
    access_token.save(force_insert=True)
    return TokenPair(session, raw_access_token, raw_refresh_token, access_token.expiry, now)


def _may_retry(session: DeviceSession, now: datetime) -> bool:
    """Say whether the immediate predecessor may still be answered; no retry moves this instant."""
    window = conf.straggler_window()
    if conf.own("RETRY") == RetryPolicy.STRICT:
        return now < session.rotated_at + window
    # Apps send requests side by side: some carry the old token although the new one is in use.
    return session.confirmed_at is None or now < session.confirmed_at + window


def _repeat(found: Found, presented: Presented) -> TokenPair | None:
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


def _revoke_reused(session: DeviceSession, presented: Presented) -> Reuse:
    """End a session whose consumed token came back: the thief and the phone look alike."""
    generation = presented.token.generation
    if revoke_session(session=session, reason=RevocationReason.REUSE_DETECTED):
        send_after_commit(
            token_reused, sender=DeviceSession, session=session, generation=generation
        )
        logger.critical(
            "refresh token of generation %d reused, session %s ended at generation %d, from %s",
            generation,
            session.pk,
            session.generation,
            presented.source.ip,
        )
    return Reuse(str(session.pk), generation)
