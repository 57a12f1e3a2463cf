"""What every token of a session needs, whichever it is: a session and a person that still hold."""

from datetime import datetime

from authx.models import DeviceSession, auth_hashes


def why_dead(session: DeviceSession, now: datetime) -> str:
    """Return why a session (its user loaded) is not to be served, in a word for the log, or ""."""
    if session.revoked_at is not None:
        return session.revoked_reason
    # Expired means `expiry <= now`: a lifetime that is over is over at that very instant.
    if not session.is_live(now):
        return "expired"
    if not session.user.is_active:
        return "inactive"
    if session.auth_hash not in auth_hashes(session.user):
        return "password changed"
    return ""
