"""What happened, in sentences for the user whose account it is."""

from typing import Any, Final

from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from authx.models import EventKind
from authx.sessions.browsers import PLATFORM, browser_name

SENTENCES: Final[dict[EventKind, Any]] = {
    EventKind.SIGNED_IN: _("A device signed in."),
    EventKind.SIGN_IN_FAILED: _("A sign-in failed."),
    EventKind.NEW_DEVICE: _("A device was used for the first time."),
    EventKind.TWO_PLACES: _("A session was renewed from two places."),
    EventKind.SIGN_IN_LIMITED: _("Sign-in was paused after too many attempts."),
    EventKind.RATE_LIMITED: _("A device sent too many requests."),
    EventKind.PASSWORD_CHANGE_FAILED: _("The password was not changed: the current one was wrong."),
    EventKind.PASSWORD_LOCKED: _("Sign-in by password was switched off after too many attempts."),
    EventKind.PASSWORD_UNLOCKED: _("Sign-in by password was switched on again."),
    EventKind.RECOVERY_REQUESTED: _("A link to a new password was asked for."),
    EventKind.REAUTHENTICATED: _("The password was entered again."),
    EventKind.REAUTHENTICATION_FAILED: _("The password was asked for again, and it was wrong."),
    EventKind.SIGNED_OUT: _("A device signed out."),
    EventKind.SIGNED_OUT_EVERYWHERE: _("Devices were signed out."),
    EventKind.TOKEN_REVOKED: _("An app ended its session."),
    EventKind.ENDED_BY_USER: _("The session of a device was ended."),
    EventKind.ENDED_BY_OPERATOR: _("We ended the session of a device."),
    EventKind.REPLACED: _("A new sign-in replaced the session of the same device."),
    EventKind.EVICTED: _("The least recently used device was signed out: there were too many."),
    EventKind.REUSE_DETECTED: _("A device was signed out: someone may have copied its access."),
    EventKind.PASSWORD_CHANGED: _("The password was changed."),
    EventKind.DEACTIVATED: _("The account was deactivated."),
    EventKind.DELETED: _("The account was deleted."),
}


def device_label(name: str, platform: str, user_agent: str) -> str:
    """Return what to call a device: its name, else what is known of it."""
    known = browser_name(user_agent) if platform in ("", PLATFORM) else platform
    return name or known or gettext("Unknown device")
