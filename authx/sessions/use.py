"""Use of an access token: one read, and a write only to confirm a pair or renew a token."""

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
from authx.sessions.state import access_expiry, access_token_ttl, rejection_reason
from authx.tokens import RawToken, Token, TokenKind

# Without it, parallel uses would all write.
MIN_INTERVAL: Final = timedelta(seconds=1)


@dataclass(frozen=True, slots=True)
class LiveToken:
    """An accepted access token; its session has its user loaded."""

    session: DeviceSession
    issued_at: datetime
    expires_at: datetime
    is_newest: bool
    now: datetime

    @property
    def active(self) -> bool:
        return True

    @property
    def token_type(self) -> str:
        return "Bearer"


@sensitive_variables()
def use_access_token(*, raw_token: str) -> DeviceSession:
    """Return the session, with its user, of an accepted access token.

    Raises InvalidAccessTokenError. A forged token costs no query, a refused one no write.
    """
    token = _parse(raw_token)
    return retry_on_conflict(partial(_use, token, RawToken(raw_token)))


@sensitive_variables()
def introspect_access_token(*, raw_token: str) -> LiveToken | None:
    """Return an accepted access token, or None for any other string (RFC 7662).

    It confirms the pair as any use does, but does not renew the token, because it is not the app
    that asks. A refresh token is None too: a service must not accept one as a bearer token.
    """
    try:
        token = _parse(raw_token)
        return retry_on_conflict(partial(_introspect, token, RawToken(raw_token)))
    except InvalidAccessTokenError:
        return None


def find_session_by_access_token(*, raw_token: RawToken, token: Token) -> DeviceSession | None:
    """Return the unrevoked session of its newest access token, or of one that is accepted now.

    The newest may have expired, so that a device can still sign out with it.
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
    # A superseded token is accepted to the end of its grace period, and confirms nothing.
    if not live.is_newest:
        return session
    is_due = now - session.last_used_at > max(conf.min_renewal_interval(), MIN_INTERVAL)
    if session.confirmed_at is not None and not is_due:
        return session
    expiry = session.expiry
    if is_due and conf.knox_setting("AUTO_REFRESH"):
        renewed = access_expiry(
            issued_at=session.created,
            used_at=now,
            session_expires_at=session.idle_expires_at,
            ttl=access_token_ttl(session),
        )
        # Not earlier than promised, in case a lifetime has been made shorter.
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
    """Read a session and check its access token; raises InvalidAccessTokenError."""
    session = statements.find_session(token.session_id)
    if session is None:
        raise InvalidAccessTokenError("session not found")
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
    """Return when an access token was issued and when it expires; None if it is unknown.

    A superseded one expires a grace period after its successor was issued, because requests with
    it may be in flight.
    """
    digest = digest_of(raw_token)
    if token.generation == session.generation:
        return (session.created, session.expiry) if digest == session.digest else None
    since = Generations(session).since(token.generation)
    if len(since) < 2 or not since[0].matches_access(digest):  # noqa: PLR2004 -- it and a successor
        return None
    cut_off_at = since[1].rotated_at + conf.refresh_token_grace_period()
    return since[0].rotated_at, min(since[0].access_expires_at, cut_off_at)
