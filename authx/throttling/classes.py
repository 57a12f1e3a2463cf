"""Limits of requests with a token: by its session, or by the client's network if it is forged."""

from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from django.db import DatabaseError
from rest_framework.request import Request
from rest_framework.throttling import BaseThrottle

from authx import conf
from authx.audit.events import record_event
from authx.codec import token_codec
from authx.errors import ForgedTokenError, RateLimitError
from authx.models import DeviceSession, EventKind
from authx.throttling.limits import Limit, consume, network_limits
from authx.tokens import TokenKind

if TYPE_CHECKING:
    # DRF's views import the authentication classes, which count forged tokens here.
    from rest_framework.views import APIView


class SessionThrottle(BaseThrottle):
    """Limits the requests of one session, whatever address it shares with others."""

    def allow_request(self, request: Request, view: "APIView") -> bool:
        # A project may accept another scheme, which has no sessions: then the user counts.
        session: Any = request.auth
        session_id = session.pk if isinstance(session, DeviceSession) else None
        # Its user may be None, or have no primary key.
        subject = session_id or getattr(request.user, "pk", None)
        rates, kind = conf.authx_setting("SESSION_RATES"), "requests of a session"
        # Raises instead of returning False, because only the error knows how long to wait.
        if subject is None:
            consume_recorded(*network_limits(kind, rates))
        else:
            consume_recorded(Limit(kind, str(subject), rates, session_id=session_id))
        return True


def limit_token(raw_token: str, *kinds: TokenKind) -> None:
    """Count the token of a request body before anything is looked up; raises RateLimitError.

    A genuine token counts for its session, which its tag proves without a query: phones share
    addresses. A forged one has no session and counts for the client's network.
    """
    limit = _limit_of(raw_token, *kinds)
    if limit is None:
        count_forged_token()
    else:
        consume_recorded(limit)


def refresh_limiter(raw_token: str) -> Callable[[timedelta | None], None]:
    """Return the `check_limit` of a refresh; raises RateLimitError for too many forged tokens.

    A refresh by the newest token that comes later than the average interval of the rates is not
    counted, and so does not depend on the store. In any window there are at most as many of these
    as the rate allows, in addition to those that are counted.
    """
    limit = _limit_of(raw_token, TokenKind.REFRESH)
    if limit is None:
        count_forged_token()
    is_counted = False

    def check_limit(elapsed: timedelta | None) -> None:
        nonlocal is_counted
        if limit is None or is_counted:
            return
        if elapsed is None or elapsed < limit.interval:
            # Once per request, however often the refresh is decided again.
            is_counted = True
            consume_recorded(limit)

    return check_limit


def count_forged_token() -> None:
    """Count a token that this server did not mint; raises RateLimitError.

    It affects no genuine token. Without a client address it is not counted; it costs no query.
    """
    rates = conf.authx_setting("FORGED_TOKEN_RATES")
    consume_recorded(*network_limits("forged tokens from a network", rates))


def consume_recorded(*limits: Limit) -> None:
    """Count an attempt against limits; record those exceeded; raises RateLimitError."""
    try:
        consume(*limits)
    except RateLimitError as error:
        for exceeded in error.exceeded:
            # A database that is unavailable does not lift the limit; it is reported elsewhere.
            with suppress(DatabaseError):
                _record(exceeded)
        raise


def _record(limit: Limit) -> None:
    session = None
    if limit.session_id is not None:
        session = DeviceSession.objects.filter(pk=limit.session_id).first()
    record_event(kind=EventKind.RATE_LIMITED, session=session, reason=limit.kind)


def _limit_of(raw_token: str, *kinds: TokenKind) -> Limit | None:
    """Return the limit that a genuine token counts against."""
    for kind in kinds:
        with suppress(ForgedTokenError):
            session_id = token_codec().parse(raw_token, kind).session_id
            # Each kind separately: old access tokens can be found in logs, and whoever sends these
            # to be revoked must not use up the refreshes of their session.
            rates = conf.authx_setting("REFRESH_RATES")
            named = f"{kind.value} tokens of a session"
            return Limit(named, str(session_id), rates, session_id=session_id)
    return None
