"""Refresh: rotates a session, answers a retry with the same pair, detects a stolen token.

The row is read first and changed by one conditional UPDATE. The session auth hash cannot be
computed in SQL, and an ordinary refusal writes nothing. A process whose UPDATE matches no row reads
again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from time import monotonic
from typing import Final

from django.views.decorators.debug import sensitive_variables

from authx import clock, conf, tokens
from authx.audit.logs import SESSION_RENEWED, TOKEN_CREATED, log_event_after_commit
from authx.codec import digest_of, token_codec
from authx.conf import RetryPolicy
from authx.context import current_context
from authx.errors import (
    AuthxError,
    ForgedTokenError,
    InvalidRefreshTokenError,
    LateDuplicateError,
    RefreshTokenReusedError,
    SessionEndedError,
)
from authx.models import DeviceSession, EventKind
from authx.sessions import statements
from authx.sessions.derivation import derive_access_token, derive_newest, new_access_token
from authx.sessions.durability import wait_for_standby
from authx.sessions.generations import (
    NO_KEY,
    Generation,
    Generations,
    digests_after_rotation,
    recent_after_rotation,
    remembers_key,
)
from authx.sessions.locking import require_no_transaction, retry_on_conflict
from authx.sessions.revoke import revoke_session
from authx.sessions.state import access_token_ttl, refresh_token_ttl, rejection_reason
from authx.sessions.two_places import record_late_duplicate, record_two_places
from authx.sessions.values import TokenPair
from authx.signals import send_after_commit, token_reused
from authx.tokens import RawToken, Token, TokenDigest, TokenKind

# How many fresh access tokens a generation gets after its first one expired. After that only its
# refresh token continues the session: retries alone do not keep it alive.
MAX_FRESH_ACCESS_TOKENS: Final = 8


# Without a grace period, a request is late after this; most are answered within milliseconds.
SHORTEST_WAIT: Final = timedelta(seconds=1)

# Why a consumed token is answered again, for the log.
SAME_KEY: Final = "retry with the same key"
UNCONFIRMED: Final = "retry before the first use"
IN_GRACE_PERIOD: Final = "retry in the grace period"

# Raises RateLimitError; see `refresh_session`.
CheckLimit = Callable[[timedelta | None], None]


def no_limit(elapsed: timedelta | None) -> None:
    """Limit nothing: for callers other than the endpoint."""


@dataclass(frozen=True, slots=True)
class RefreshRequest:
    """A refresh token that was presented, and what came with it."""

    token: Token
    digest: TokenDigest = field(repr=False)
    # Of the idempotency key: one digest for each accepted SECRET_KEY, the current one first. Empty
    # without a key.
    key_digests: Sequence[bytes] = field(repr=False)
    check_limit: CheckLimit
    # Returns how long the request has waited for an answer.
    waited: Callable[[], timedelta]


@sensitive_variables()
def refresh_session(
    *,
    raw_token: str,
    idempotency_key: str = "",
    check_limit: CheckLimit = no_limit,
    waited: Callable[[], timedelta] = timedelta,
) -> TokenPair:
    """Consume a refresh token and return its session's next pair (RFC 9700 section 4.14.2).

    A consumed token that may be retried gets the newest pair. Raises RefreshTokenReusedError after
    revoking the session; InvalidRefreshTokenError for any other refused token; LateDuplicateError
    for a late copy of the app's own request; TooManyRotationsError; ConflictError if the row
    changes ten times in a row; RuntimeError inside a transaction of the caller; and what
    `check_limit` raises. After the session is read, `check_limit` is called with the time since its
    last rotation if the token is the newest, and with None if it is not. `waited` returns how long
    the request has been waiting, in the server's queue for instance.
    """
    require_no_transaction()
    began = monotonic()
    codec = token_codec()
    try:
        token = codec.parse(raw_token, TokenKind.REFRESH)
    except ForgedTokenError as error:
        raise InvalidRefreshTokenError(error.reason) from error
    digests = codec.idempotency_digests(idempotency_key, token) if idempotency_key else ()
    request = RefreshRequest(
        token,
        digest_of(RawToken(raw_token)),
        tuple(digests),
        check_limit,
        lambda: max(waited(), timedelta(seconds=monotonic() - began)),
    )
    return retry_on_conflict(partial(_refresh, request))


def _refresh(request: RefreshRequest) -> TokenPair:
    """Decide by what the row says now; raises ConflictError if it changes before the write."""
    session = statements.find_session(request.token.session_id)
    if session is None:
        request.check_limit(None)
        raise InvalidRefreshTokenError("session not found")
    now = clock.read_at(session)
    reason = rejection_reason(session, now)
    is_newest = not reason and request.digest == session.refresh_digest
    request.check_limit(now - session.rotated_at if is_newest else None)
    if reason:
        raise SessionEndedError(reason, session.pk, session.user_id)
    if request.token.generation < session.generation:
        return _retry(session, request, now)
    if is_newest:
        return _rotate(session, request, now)
    # Genuine, but newer than the row: the database lost a rotation (a restored backup).
    raise InvalidRefreshTokenError("ahead of its session")


def _rotate(session: DeviceSession, request: RefreshRequest, now: datetime) -> TokenPair:
    """Consume the newest generation and return the next pair."""
    codec, nonce = token_codec(), tokens.new_nonce()
    refresh = next(codec.successors(request.token, nonce))
    idle_expires_at = min(now + refresh_token_ttl(session), session.absolute_expires_at)
    key_digest = request.key_digests[0] if request.key_digests else NO_KEY
    raw_access_token, access = new_access_token(
        refresh.token, session_expires_at=idle_expires_at, now=now, ttl=access_token_ttl(session)
    )
    context = current_context()
    changes = access | {
        "fresh_access_count": 0,
        "generation": refresh.token.generation,
        "refresh_digest": digest_of(refresh.raw_token),
        "refresh_nonce": nonce,
        "idempotency_digests": digests_after_rotation(session, key_digest),
        "rotated_at": now,
        "confirmed_at": None,
        "recent": recent_after_rotation(session, now),
        # A hash under a fallback of SECRET_KEY moves to the current key.
        "auth_hash": session.user.get_session_auth_hash(),
        "idle_expires_at": idle_expires_at,
        "last_used_at": now,
        "last_ip": context.ip,
        "last_user_agent": context.user_agent,
    }
    statements.rotate(session, changes, now)
    log_event_after_commit(
        SESSION_RENEWED,
        user_id=session.user_id,
        session_id=session.pk,
        generation=refresh.token.generation,
    )
    return TokenPair(session, raw_access_token, refresh.raw_token, session.expiry, now)


def _retry(session: DeviceSession, request: RefreshRequest, now: datetime) -> TokenPair:
    """Answer a superseded generation with the newest pair, if it may still be answered."""
    since = Generations(session).since(request.token.generation + 1)
    if not since or _is_forgotten(since, now):
        raise _refusal(session, request, now)
    refresh = derive_newest(request.token, since)
    why = _retry_reason(since[0], request, now)
    if not why:
        raise _refusal(session, request, now)
    raw_access_token = _reissue_access_token(session, refresh.token, now)
    key_differs = _key_differs(since[0], request)
    record_two_places(session, key_differs=key_differs, now=now)
    log_event_after_commit(
        SESSION_RENEWED, user_id=session.user_id, session_id=session.pk, reason=why
    )
    # As if the token had not been used: a use renews it, which would tell a thief that the app is
    # in use.
    unused_until = min(session.expiry, session.created + access_token_ttl(session))
    return TokenPair(session, raw_access_token, refresh.raw_token, unused_until, now)


def _reissue_access_token(session: DeviceSession, refresh_token: Token, now: datetime) -> RawToken:
    """Return the access token of the newest pair, or a fresh one if it has expired."""
    if session.expiry > now or session.fresh_access_count >= MAX_FRESH_ACCESS_TOKENS:
        # The other branch writes, and its commit waits.
        wait_for_standby()
        return derive_access_token(refresh_token, session)
    raw_access_token, changes = new_access_token(
        refresh_token,
        session_expires_at=session.idle_expires_at,
        now=now,
        ttl=access_token_ttl(session),
    )
    changes["fresh_access_count"] = session.fresh_access_count + 1
    # One of several parallel retries stores it; the others read again and derive the same token.
    statements.replace_access_token(session, changes)
    log_event_after_commit(
        TOKEN_CREATED, user_id=session.user_id, session_id=session.pk, reason="retry"
    )
    return raw_access_token


def _is_forgotten(since: Sequence[Generation], now: datetime) -> bool:
    """Return whether the first of these generations is superseded and past its grace period."""
    confirmed_at = since[0].confirmed_at
    if len(since) == 1 or confirmed_at is None:
        return False
    return now >= confirmed_at + conf.refresh_token_grace_period()


def _retry_reason(successor: Generation, request: RefreshRequest, now: datetime) -> str:
    """Return why a token whose rotation made `successor` is answered again; "" if it may not be."""
    if request.key_digests and not _key_differs(successor, request):
        # The same refresh of the app, whenever its copy arrives.
        return SAME_KEY
    grace_period = conf.refresh_token_grace_period()
    has_no_key = not request.key_digests and successor.idempotency_digest == NO_KEY
    if has_no_key and conf.authx_setting("RETRY") == RetryPolicy.UNTIL_CONFIRMED:
        confirmed_at = successor.confirmed_at
        if confirmed_at is None:
            return UNCONFIRMED
        return IN_GRACE_PERIOD if now < confirmed_at + grace_period else ""
    # Two processes of one app that do not share a key, or a thief.
    return IN_GRACE_PERIOD if now < successor.rotated_at + grace_period else ""


def _key_differs(successor: Generation, request: RefreshRequest) -> bool:
    return successor.idempotency_digest not in (request.key_digests or (NO_KEY,))


def _refusal(session: DeviceSession, request: RefreshRequest, now: datetime) -> AuthxError:
    """Return the error for a token that is not answered any more: a late duplicate, or reuse.

    It is late if its idempotency key shows the app's own request, or if it waited in a frozen
    process or a queue for longer than the grace period, in which the app may have sent another one
    and used the answer.
    """
    patience = max(conf.refresh_token_grace_period(), SHORTEST_WAIT)
    is_late = remembers_key(session, request.key_digests) or request.waited() >= patience
    generation = request.token.generation
    if is_late and record_late_duplicate(session, generation=generation, now=now):
        return LateDuplicateError(session.pk, session.user_id)
    return _revoke_for_reuse(session, request)


def _revoke_for_reuse(session: DeviceSession, request: RefreshRequest) -> RefreshTokenReusedError:
    """Revoke a session whose consumed token was presented again; return the error to raise.

    The server cannot tell the thief from the app (RFC 9700 section 4.14.2). The revocation is
    committed when this returns.
    """
    generation = request.token.generation
    detail = f"generation {generation} presented again at {session.generation}"
    if revoke_session(session=session, reason=EventKind.REUSE_DETECTED, detail=detail):
        send_after_commit(
            token_reused, sender=DeviceSession, session_id=session.pk, generation=generation
        )
    return RefreshTokenReusedError("reuse")
