"""Browsers that are signed in by a cookie: device sessions like any other, without tokens.

The Django session of the browser names its device session; cookies.py asks here at each request.
"""

from typing import TYPE_CHECKING, Final
from uuid import UUID

from authx import clock, conf
from authx.context import current_context
from authx.models import DeviceSession, EventKind
from authx.policy import browser_lifetimes
from authx.sessions.locking import retry_on_conflict
from authx.sessions.open import open_browser_session
from authx.sessions.revoke import revoke_session
from authx.sessions.state import rejection_reason
from authx.sessions.statements import find_session
from authx.sessions.use import MIN_INTERVAL
from authx.sessions.values import Device

if TYPE_CHECKING:
    from django.contrib.auth.models import User

PLATFORM: Final = "browser"
# What a user agent contains, the first match decides: others call themselves Chrome and Safari too.
BROWSERS: Final = {
    "Edg": "Edge",
    "OPR/": "Opera",
    "SamsungBrowser/": "Samsung Internet",
    "Firefox/": "Firefox",
    "FxiOS/": "Firefox",
    "CriOS/": "Chrome",
    "Chrome/": "Chrome",
    "Safari/": "Safari",
}
SYSTEMS: Final = {
    "iPhone": "iPhone",
    "iPad": "iPad",
    "Android": "Android",
    "Windows": "Windows",
    "Mac OS X": "macOS",
    "CrOS": "ChromeOS",
    "Linux": "Linux",
}


def sign_browser_in(
    *, user: "User", raw_credential: str = "", replaced: str | None = None
) -> DeviceSession:
    """Open a session for the browser of the current request; end the one that it had."""
    if replaced is not None:
        end_browser_session(replaced, reason=EventKind.REPLACED)
    name = browser_name(current_context().user_agent)
    device = Device(name=name, platform=PLATFORM, credential=raw_credential)
    return retry_on_conflict(lambda: open_browser_session(user=user, device=device))


def use_browser_session(session_id: str) -> DeviceSession | None:
    """Return the session of a browser, with its user; None if it has ended, for whatever reason.

    One read, and at most once a minute a write, which moves its idle end.
    """
    session = find_session(UUID(session_id))
    if session is None:
        return None
    now = clock.read_at(session)
    if rejection_reason(session, now):
        return None
    if now - session.last_used_at > max(conf.min_renewal_interval(), MIN_INTERVAL):
        idle_ttl, _ = browser_lifetimes(session.user)
        context = current_context()
        # A parallel request may have written the same, and an end in between stays one.
        DeviceSession.objects.unrevoked().filter(pk=session.pk, idle_expires_at__gt=now).update(
            last_used_at=now,
            idle_expires_at=min(now + idle_ttl, session.absolute_expires_at),
            last_ip=context.ip,
            last_user_agent=context.user_agent,
        )
    return session


def end_browser_session(session_id: str, *, reason: EventKind) -> None:
    """End the session of a browser, if it has not ended."""
    session = DeviceSession.objects.filter(pk=session_id).first()
    if session is not None:
        revoke_session(session=session, reason=reason)


def browser_name(user_agent: str) -> str:
    """Return browser and system in words, as far as the user agent names well-known ones."""
    found = [
        next((name for mark, name in known.items() if mark in user_agent), "")
        for known in (BROWSERS, SYSTEMS)
    ]
    return ", ".join(filter(None, found))
