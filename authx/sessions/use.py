"""Use of an access token: one read; a write only when the use confirms a pair or renews a token."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from django.views.decorators.debug import sensitive_variables

from authx import clock, conf
from authx.codec import digest_of, token_codec
from authx.errors import ForgedTokenError, InvalidAccessTokenError
from authx.models import DeviceSession
from authx.sessions import statements
from authx.sessions.generations import Generations
from authx.sessions.locking import retry_on_conflict
from authx.sessions.state import access_expiry, rejection_reason
from authx.tokens import RawToken, Token, TokenKind

# Uses side by side would all write, and all but one in vain.
MIN_INTERVAL: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LiveToken:
    """An access token that this server accepts now; of its session, the user is loaded."""

    session: DeviceSession
    issued_at: datetime
    expires_at: datetime
    is_newest: bool
    now: datetime


@sensitive_variables()
def use_access_token(*, raw_token: str) -> DeviceSession:
    """Return the session of a good access token, its user loaded.

    Raises InvalidAccessTokenError; a forged token costs no query, a refused one no write.
    """
    token = _parse(raw_token)
    return retry_on_conflict(partial(_use, token, RawToken(raw_token)))


@sensitive_variables()
def introspect_access_token(*, raw_token: str) -> LiveToken | None:
    """Return what an access token stands for, None for whatever else is asked about (RFC 7662).

    Confirms its pair as any use does, but does not renew it: it is not the app that asks. A refresh
    token is None as well, and no reuse: a service that accepted one as a bearer token because it is
    "active" would be a hole, and no service has any business with one.
    """
    try:
        token = _parse(raw_token)
        return retry_on_conflict(partial(_introspect, token, RawToken(raw_token)))
    except InvalidAccessTokenError:
        return None


def find_session_by_access_token(*, raw_token: RawToken, token: Token) -> DeviceSession | None:
    """Return the unrevoked session of an access token: its newest, or one accepted now.

    The newest may have expired: a device can sign out with what it holds.
    """
    session = statements.find_session(token.session_id)
    if session is None or session.revoked_at is not None:
        return None
    lifetime = _lifetime(session, token, raw_token)
    is_newest = token.generation == session.generation
    if lifetime is None or not (is_newest or clock.read_at(session) < lifetime[1]):
        return None
    return session


def _parse(raw_token: str) -> Token:
    try:
        return token_codec().parse(raw_token, TokenKind.ACCESS)
    except ForgedTokenError as error:
        raise InvalidAccessTokenError(error.reason) from error


def _use(token: Token, raw_token: RawToken) -> DeviceSession:
    live = _find_live(token, raw_token)
    session, now = live.session, live.now
    # One that was superseded is answered to the end of its grace period; it confirms nothing.
    if not live.is_newest:
        return session
    is_due = now - session.last_used_at > max(conf.min_renewal_interval(), MIN_INTERVAL)
    if session.confirmed_at is not None and not is_due:
        return session
    expiry = session.expiry
    if is_due and conf.knox("AUTO_REFRESH"):
        renewed = access_expiry(
            issued_at=session.created, used_at=now, session_expires_at=session.idle_expires_at
        )
        # Never less than was promised, should a lifetime be set shorter meanwhile.
        expiry = max(expiry, renewed)
    is_renewed = expiry > session.expiry
    statements.note_use(session, now=now, expiry=expiry)
    if is_renewed:
        session.renewed_at = now
    return session


def _introspect(token: Token, raw_token: RawToken) -> LiveToken:
    live = _find_live(token, raw_token)
    if live.is_newest and live.session.confirmed_at is None:
        statements.note_use(live.session, now=live.now, expiry=live.session.expiry)
    return live


def _find_live(token: Token, raw_token: RawToken) -> LiveToken:
    """Read a session and check that it accepts the token; raises InvalidAccessTokenError."""
    session = statements.find_session(token.session_id)
    if session is None:
        raise InvalidAccessTokenError("gone")
    now = clock.read_at(session)
    if reason := rejection_reason(session, now):
        raise InvalidAccessTokenError(reason)
    lifetime = _lifetime(session, token, raw_token)
    if lifetime is None:
        raise InvalidAccessTokenError("superseded")
    issued_at, expires_at = lifetime
    if expires_at <= now:
        raise InvalidAccessTokenError("expired")
    is_newest = token.generation == session.generation
    return LiveToken(session, issued_at, expires_at, is_newest, now)


def _lifetime(
    session: DeviceSession, token: Token, raw_token: RawToken
) -> tuple[datetime, datetime] | None:
    """Return when an access token was issued and when it ends, None if the row does not know it.

    One of a superseded generation ends a grace period after its successor was made: requests were
    on their way with it.
    """
    digest = digest_of(raw_token)
    if token.generation == session.generation:
        return (session.created, session.expiry) if digest == session.digest else None
    since = Generations(session).since(token.generation)
    if len(since) < 2 or not since[0].matches_access(digest):  # noqa: PLR2004 -- it and a successor
        return None
    cut_off_at = since[1].rotated_at + conf.refresh_token_grace_period()
    return since[0].rotated_at, min(since[0].access_expires_at, cut_off_at)
