"""Access tokens as rows: how one is stored, how long it lives."""

from datetime import datetime

from knox.settings import CONSTANTS

from authx import conf
from authx.models import AccessToken, DeviceSession
from authx.tokens import RawToken, digest_of


def expiry_of(*, issued_at: datetime, used_at: datetime, session: DeviceSession) -> datetime:
    """Return when a token that is used at an instant expires.

    Renewed on use, but capped from its issue (RFC 6750 section 5.3), and never past its session.
    """
    return min(
        used_at + conf.access_token_ttl(),
        issued_at + conf.access_token_max_ttl(),
        session.idle_expires_at,
    )


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
