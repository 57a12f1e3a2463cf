"""Whether a session may be served, and until when its access tokens last."""

from datetime import datetime

from authx import conf
from authx.models import DeviceSession


def rejection_reason(session: DeviceSession, now: datetime) -> str:
    """Return why a session (its user loaded) is not to be served, in a word for the log, or ""."""
    if session.revoked_at is not None:
        return session.revoked_reason
    # Expired means `expiry <= now`: a lifetime that is over is over at that very instant.
    if not session.is_live(now):
        return "expired"
    user = session.user
    if not user.is_active:
        return "inactive"
    # The key in use first: the others are tried only while keys rotate.
    if session.auth_hash == user.get_session_auth_hash():
        return ""
    return "" if session.auth_hash in user.get_session_auth_fallback_hash() else "password changed"


def access_expiry(
    *, issued_at: datetime, used_at: datetime, session_expires_at: datetime
) -> datetime:
    """Return when an access token that is used at an instant expires.

    Renewed on use, but limited from its issue (RFC 6750 section 5.3), and by its session's end.
    """
    return min(
        used_at + conf.access_token_ttl(),
        issued_at + conf.access_token_max_ttl(),
        session_expires_at,
    )
