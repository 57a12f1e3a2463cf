"""Access tokens as rows: how one is stored, how long it lives."""

from datetime import datetime

from knox.settings import CONSTANTS

from authx import clock, conf
from authx.models import AccessToken, DeviceSession
from authx.tokens import RawToken, TokenDigest, digest_of


def expiry_of(*, issued_at: datetime, used_at: datetime, session: DeviceSession) -> datetime:
    """Return when a token that is used at an instant expires.

    Renewed on use, but capped from its issue (RFC 6750 section 5.3), and never past its session.
    """
    return min(
        used_at + conf.access_token_ttl(),
        issued_at + conf.access_token_max_ttl(),
        session.idle_expires_at,
    )


def find_access_token(digest: TokenDigest) -> AccessToken | None:
    """Return a row, its session and user loaded, and when it was read, all in one read.

    Whether it is good is not asked.
    """
    # Looked up by its primary key. Knox looks up by a clear-text prefix, loads every token of the
    # user and deletes the expired ones while it authenticates.
    token: AccessToken | None = (
        AccessToken.objects.select_related("session", "user")
        .annotate(read_at=clock.shared_now())
        .filter(pk=digest)
        .first()
    )
    if token is not None:
        token.session.user = token.user
    return token


def accepted_until(token: AccessToken) -> datetime | None:
    """Return when an access token ends; None if newer generations have cut it off already."""
    session = token.session
    if token.generation == session.generation:
        return token.expiry
    if token.generation == session.generation - 1:
        # A straggler: requests on their way when its session was refreshed.
        return min(token.expiry, session.rotated_at + conf.straggler_window())
    return None


def access_token_row(
    *, raw_token: RawToken, session: DeviceSession, nonce: bytes, now: datetime
) -> AccessToken:
    """Return the unsaved row of a token issued now for the newest generation.

    Knox's manager is not used: it would make up a random token of its own.
    """
    return AccessToken(
        digest=digest_of(raw_token),
        token_key=raw_token[: CONSTANTS.TOKEN_KEY_LENGTH],
        user_id=session.user_id,
        session=session,
        generation=session.generation,
        nonce=nonce,
        created=now,
        last_used_at=now,
        expiry=expiry_of(issued_at=now, used_at=now, session=session),
    )
