"""Requests that show a token: limited for its session, and for a source that forges them."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from authx import conf
from authx.codec import token_codec
from authx.errors import ForgedTokenError
from authx.models import DeviceSession
from authx.throttling.limits import Limit, client_network, consume
from authx.tokens import TokenKind

if TYPE_CHECKING:
    # Views name the classes that authenticate them, and those count here.
    from rest_framework.views import APIView


class SessionThrottle(BaseThrottle):
    """Limits the requests of one session, whatever address it shares with others."""

    def allow_request(self, request: Request, view: "APIView") -> bool:  # noqa: ARG002 -- DRF's
        # A project may let another scheme in, which has no sessions: then the user counts.
        session: Any = request.auth
        session_id = session.pk if isinstance(session, DeviceSession) else None
        subject = str(session_id or request.user.pk or client_network())
        rates = conf.own("SESSION_RATES")
        # Raised inside rather than answered: the wait is known only there.
        consume(Limit("requests of a session", subject, rates, session_id=session_id))
        return True


class ServiceThrottle(BaseThrottle):
    """Limits what one service asks, from however many machines."""

    def allow_request(self, request: Request, view: "APIView") -> bool:  # noqa: ARG002 -- DRF's
        service_id = str(request.user.pk)
        consume(Limit("questions of a service", service_id, conf.own("SERVICE_RATES")))
        return True


def limit_token(raw_token: str, *kinds: TokenKind) -> None:
    """Count a token in a body, before anything is looked up; raises DRF's Throttled.

    A genuine one counts for its session, which its tag proves without a query: phones share
    addresses. A forged one has no session and counts for its source.
    """
    limit = _limit_of(raw_token, *kinds)
    if limit is None:
        count_forged_token()
    else:
        consume(limit)


def refresh_limiter(raw_token: str) -> Callable[[timedelta | None], None]:
    """Return what counts a refresh once its session was read; raises Throttled for a forged token.

    It is told how long ago the session was last refreshed, or None for what is no ordinary refresh.
    One that comes later than the rates' average is not counted, and does not depend on the store:
    in a window, there are at most as many of these as the rate allows, beside those that count.
    """
    limit = _limit_of(raw_token, TokenKind.REFRESH)
    if limit is None:
        count_forged_token()
    is_counted = False

    def admit(elapsed: timedelta | None) -> None:
        nonlocal is_counted
        if limit is None or is_counted:
            return
        if elapsed is None or elapsed < limit.spacing:
            # Once for a request, however often it is decided anew.
            is_counted = True
            consume(limit)

    return admit


def _limit_of(raw_token: str, *kinds: TokenKind) -> Limit | None:
    """Return what a genuine token counts against."""
    for kind in kinds:
        with suppress(ForgedTokenError):
            session_id = token_codec().parse(raw_token, kind).session_id
            # Each kind apart: old access tokens lie about in logs, and whoever sends those to be
            # revoked must not use up the refreshes of their session.
            named = f"{kind.value} tokens of a session"
            rates = conf.own("REFRESH_RATES")
            return Limit(named, str(session_id), rates, session_id=session_id)
    return None


def count_forged_token() -> None:
    """Count a token that we never minted; raises DRF's Throttled, which hits nobody genuine."""
    consume(Limit("forged tokens of a source", client_network(), conf.own("FORGED_TOKEN_RATES")))
