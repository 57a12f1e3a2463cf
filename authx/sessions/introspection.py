"""What another service may know of a token (RFC 7662): looks, and changes nothing."""

from dataclasses import dataclass
from datetime import datetime

from django.views.decorators.debug import sensitive_variables

from authx import clock, tokens
from authx.errors import ForgedTokenError
from authx.models import AccessToken
from authx.sessions.access import accepted_until, find_access_token
from authx.sessions.liveness import why_dead
from authx.tokens import RawToken, TokenKind


@dataclass(frozen=True, slots=True)
class LiveToken:
    """An access token, its session and user loaded, that this server would accept now."""

    access_token: AccessToken
    expires_at: datetime


@sensitive_variables()
def find_live_token(*, raw_token: str) -> LiveToken | None:
    """Return what an access token stands for, None for whatever else is asked about.

    Nothing is confirmed, renewed or noted, for it is not the app that uses the token here. A
    refresh token is None as well, and no alarm: a service that accepted one as a bearer token
    because it is "active" would be a hole, and no service has any business with one.
    """
    try:
        tokens.parse(raw_token, TokenKind.ACCESS)
    except ForgedTokenError:
        return None
    access_token = find_access_token(tokens.digest_of(RawToken(raw_token)))
    if access_token is None:
        return None
    now = clock.read_at(access_token)
    expires_at = accepted_until(access_token)
    if why_dead(access_token.session, now) or expires_at is None or expires_at <= now:
        return None
    return LiveToken(access_token, expires_at)
