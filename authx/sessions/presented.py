"""A refresh token on the counter, and what the database knows of its session."""

from dataclasses import dataclass, field
from datetime import datetime

from django.db.models import OuterRef, Subquery

from authx import clock
from authx.context import Source
from authx.errors import InvalidRefreshTokenError, SessionEndedError
from authx.models import AccessToken, DeviceSession
from authx.sessions.liveness import why_dead
from authx.tokens import Token, TokenDigest


@dataclass(frozen=True, slots=True)
class Presented:
    """A refresh token that was handed in: what it says, and from where."""

    token: Token
    digest: TokenDigest = field(repr=False)
    source: Source


@dataclass(frozen=True, slots=True)
class Found:
    """A session as a refresh reads it, with its newest access token, if that one has a row.

    `now` is the shared clock at that very read.
    """

    session: DeviceSession
    now: datetime
    access_digest: str | None = field(repr=False)
    access_nonce: bytes | None = field(repr=False)
    access_expires_at: datetime | None


def find_session(presented: Presented) -> Found:
    """Read what decides in one statement; raises InvalidRefreshTokenError for a dead session."""
    newest = AccessToken.objects.filter(
        session=OuterRef("pk"), generation=OuterRef("generation")
    ).order_by()
    session = (
        DeviceSession.objects.select_related("user")
        .annotate(
            read_at=clock.shared_now(),
            access_digest=Subquery(newest.values("digest")),
            access_nonce=Subquery(newest.values("nonce")),
            access_expires_at=Subquery(newest.values("expiry")),
        )
        .filter(pk=presented.token.session_id)
        .first()
    )
    if session is None:
        raise InvalidRefreshTokenError("gone")
    now = clock.read_at(session)
    if reason := why_dead(session, now):
        raise SessionEndedError(reason, session.pk, session.user_id)
    return Found(
        session,
        now,
        # Annotations, which no checker sees.
        access_digest=getattr(session, "access_digest", None),
        access_nonce=getattr(session, "access_nonce", None),
        access_expires_at=getattr(session, "access_expires_at", None),
    )
