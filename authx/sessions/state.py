"""Whether a session is accepted, and when its access tokens expire."""

from datetime import datetime, timedelta

from authx import conf
from authx.models import DeviceSession


def rejection_reason(session: DeviceSession, now: datetime) -> str:
    """Return why a session (with its user) is rejected, in a word for the log, or ""."""
    if session.revoked_at is not None:
        return session.revoked_reason
    # Expired means `expiry <= now`. A constraint keeps the idle end from passing the absolute one.
    if not session.is_live(now):
        return "expired"
    user = session.user
    if not user.is_active:
        return "inactive"
    # The current key first: the others are needed only while keys rotate.
    if session.auth_hash == user.get_session_auth_hash():
        return ""
    return "" if session.auth_hash in user.get_session_auth_fallback_hash() else "password changed"


def access_token_ttl(session: DeviceSession) -> timedelta:
    return session.access_token_ttl or conf.access_token_ttl()


def refresh_token_ttl(session: DeviceSession) -> timedelta:
    return session.refresh_token_ttl or conf.refresh_token_ttl()


def access_expiry(
    *, issued_at: datetime, used_at: datetime, session_expires_at: datetime, ttl: timedelta
) -> datetime:
    """Return when an access token expires if it is used at `used_at`.

    It is renewed on use, but not past a maximum from its issue (RFC 6750 section 5.3), nor past the
    end of its session.
    """
    return min(
        used_at + ttl,
        issued_at + conf.access_token_max_ttl(),
        session_expires_at,
    )
