"""The kinds of security events; those that end a session are also the reason stored with it."""

from typing import Final

from django.db import models
from django.utils.translation import gettext_lazy as _


class EventKind(models.TextChoices):
    """What happened, in one vocabulary for sessions, the audit trail and the logs."""

    SIGNED_IN = "signed_in", _("signed in")
    SIGN_IN_FAILED = "sign_in_failed", _("failed sign-in")
    NEW_DEVICE = "new_device", _("signed in from a new device")
    TWO_PLACES = "two_places", _("session renewed from two places")
    SIGN_IN_LIMITED = "sign_in_limited", _("too many failed sign-ins")
    RATE_LIMITED = "rate_limited", _("rate limit exceeded")
    PASSWORD_CHANGE_FAILED = "password_change_failed", _("failed password change")
    PASSWORD_LOCKED = "password_locked", _("sign-in by password locked")
    PASSWORD_UNLOCKED = "password_unlocked", _("sign-in by password unlocked")
    RECOVERY_REQUESTED = "recovery_requested", _("asked for a new password")
    REAUTHENTICATED = "reauthenticated", _("entered the password again")
    REAUTHENTICATION_FAILED = "reauthentication_failed", _("failed to enter the password again")
    # These end sessions.
    SIGNED_OUT = "signed_out", _("signed out")
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere", _("signed out everywhere")
    TOKEN_REVOKED = "token_revoked", _("ended by the app that holds its tokens")
    ENDED_BY_USER = "ended_by_user", _("ended in the list of devices")
    ENDED_BY_OPERATOR = "ended_by_operator", _("ended by an operator")
    REPLACED = "replaced", _("replaced by a new sign-in on the same device")
    EVICTED = "evicted", _("ended: more devices than allowed")
    REUSE_DETECTED = "reuse_detected", _("ended: refresh token used twice, possibly copied")
    PASSWORD_CHANGED = "password_changed", _("password changed")
    DEACTIVATED = "deactivated", _("account deactivated")
    DELETED = "deleted", _("account deleted")


REVOCATIONS: Final = (
    EventKind.SIGNED_OUT,
    EventKind.SIGNED_OUT_EVERYWHERE,
    EventKind.TOKEN_REVOKED,
    EventKind.ENDED_BY_USER,
    EventKind.ENDED_BY_OPERATOR,
    EventKind.REPLACED,
    EventKind.EVICTED,
    EventKind.REUSE_DETECTED,
    EventKind.PASSWORD_CHANGED,
    EventKind.DEACTIVATED,
    EventKind.DELETED,
)
