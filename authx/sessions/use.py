"""Use of an access token: one read; a write only when the use confirms a pair or renews a token."""

from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from authx import clock, conf, tokens
from authx.errors import ForgedTokenError, InvalidAccessTokenError
from authx.models import AccessToken, DeviceSession
from authx.sessions.access import accepted_until, expiry_of, find_access_token
from authx.sessions.contention import until_settled
from authx.sessions.liveness import why_dead
from authx.tokens import RawToken, TokenDigest, TokenKind


@sensitive_variables()
def use_access_token(*, raw_token: str) -> AccessToken:
    """Return the row of a good access token, its session and user loaded.

    Raises InvalidAccessTokenError; a forged token costs no query, a refused one no write.
    """
    try:
        tokens.parse(raw_token, TokenKind.ACCESS)
    except ForgedTokenError as error:
        raise InvalidAccessTokenError(error.reason) from error
    digest = tokens.digest_of(RawToken(raw_token))
    return until_settled(lambda: _use(digest))


def _use(digest: TokenDigest) -> AccessToken | None:
    """Return the row; None if its state changed between the read and a write."""
    token = find_access_token(digest)
    if token is None:
        raise InvalidAccessTokenError("unknown")
    session, now = token.session, clock.read_at(token)
    reason = why_dead(session, now) or _why_stale(token, now)
    if reason:
        raise InvalidAccessTokenError(reason)
    if token.generation < session.generation:
        # A straggler: answered to the end of its window, but nothing is confirmed or prolonged.
        return token
    settled = _confirm(session, now) and _note_use(token, session, now)
    session.last_used_at = max(session.last_used_at, token.last_used_at)
    return token if settled else None


def _why_stale(token: AccessToken, now: datetime) -> str:
    end = accepted_until(token)
    if end is not None and now < end:
        return ""
    return "expired" if token.expiry <= now else "rotated"


def _confirm(session: DeviceSession, now: datetime) -> bool:
    """Note the first use of the newest pair: from now on its predecessor counts as stolen."""
    if session.confirmed_at is not None:
        return True
    confirmed = (
        DeviceSession.objects.unrevoked()
        .filter(pk=session.pk, generation=session.generation, confirmed_at__isnull=True)
        .update(confirmed_at=now, last_used_at=now)
    )
    session.confirmed_at = now
    return bool(confirmed)


def _note_use(token: AccessToken, session: DeviceSession, now: datetime) -> bool:
    """Note that a token was used, and renew it by that, at most once a MIN_REFRESH_INTERVAL."""
    if now - token.last_used_at <= conf.min_renewal_interval():
        return True
    expiry = token.expiry
    if conf.knox("AUTO_REFRESH"):
        renewed = expiry_of(issued_at=token.created, used_at=now, session=session)
        # Never less than was promised, should a lifetime be set shorter meanwhile.
        expiry = max(expiry, renewed)
    # Never save(): on a row deleted meanwhile it raises, and a request would fail with a 500.
    noted = AccessToken.objects.filter(pk=token.pk, last_used_at=token.last_used_at).update(
        expiry=expiry, last_used_at=now
    )
    if expiry > token.expiry:
        token.renewed_at = now
    token.expiry, token.last_used_at = expiry, now
    return bool(noted)
