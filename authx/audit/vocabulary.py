"""What each thing that happens is called in the logs, and how grave it is.

Names and levels of OWASP's Logging Vocabulary, where it has one; SECURITY.md holds the inventory.
"""

from logging import CRITICAL, ERROR, INFO, WARNING
from typing import Final, NamedTuple

from authx.models import EventKind


class LogEvent(NamedTuple):
    event: str
    level: int
    succeeded: bool


LOG_EVENTS: Final[dict[str, LogEvent]] = {
    EventKind.SIGNED_IN: LogEvent("authn_login_success", INFO, succeeded=True),
    EventKind.SIGN_IN_FAILED: LogEvent("authn_login_fail", WARNING, succeeded=False),
    EventKind.NEW_DEVICE: LogEvent("authn_login_newdevice", WARNING, succeeded=True),
    EventKind.SIGNED_OUT: LogEvent("session_logout", INFO, succeeded=True),
    EventKind.SIGNED_OUT_EVERYWHERE: LogEvent("session_logout", INFO, succeeded=True),
    EventKind.TOKEN_REVOKED: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.ENDED_BY_USER: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.ENDED_BY_OPERATOR: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.REPLACED: LogEvent("session_expired", INFO, succeeded=True),
    EventKind.EVICTED: LogEvent("excess_sessions_exceeded", WARNING, succeeded=True),
    EventKind.REUSE_DETECTED: LogEvent("authn_token_reuse", CRITICAL, succeeded=False),
    EventKind.TWO_PLACES: LogEvent("authn_token_two_places", WARNING, succeeded=True),
    EventKind.PASSWORD_CHANGED: LogEvent("authn_password_change", INFO, succeeded=True),
    EventKind.PASSWORD_CHANGE_FAILED: LogEvent(
        "authn_password_change_fail", WARNING, succeeded=False
    ),
    EventKind.DEACTIVATED: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.DELETED: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.SIGN_IN_LIMITED: LogEvent("authn_login_fail_max", WARNING, succeeded=False),
    EventKind.PASSWORD_LOCKED: LogEvent("authn_login_lock", WARNING, succeeded=True),
    EventKind.PASSWORD_UNLOCKED: LogEvent("authn_login_unlock", WARNING, succeeded=True),
    EventKind.RATE_LIMITED: LogEvent("excess_rate_limit_exceeded", WARNING, succeeded=False),
}
# Instead of authn_login_success, where the attempt before it had failed.
SUCCESS_AFTER_FAIL: Final = LogEvent("authn_login_successafterfail", WARNING, succeeded=True)

# Too many, or of too little interest to a user, for a row.
SESSION_CREATED: Final = LogEvent("session_created", INFO, succeeded=True)
SESSION_RENEWED: Final = LogEvent("session_renewed", INFO, succeeded=True)
TOKEN_CREATED: Final = LogEvent("authn_token_created", INFO, succeeded=True)
TOKEN_REFUSED: Final = LogEvent("authn_token_refused", INFO, succeeded=False)
# A warning where the vocabulary says critical: a phone that was signed out from elsewhere, or lay
# in a drawer for a month, does this once and honestly.
USE_AFTER_END: Final = LogEvent("session_use_after_expire", WARNING, succeeded=False)
ACCESS_DENIED: Final = LogEvent("authz_fail", WARNING, succeeded=False)
NOTIFICATION_SENT: Final = LogEvent("notification_sent", INFO, succeeded=True)
NOTIFICATION_POSTPONED: Final = LogEvent("notification_postponed", WARNING, succeeded=False)
NOTIFICATION_DROPPED: Final = LogEvent("notification_dropped", ERROR, succeeded=False)

LOGGED_ONLY: Final = (
    SESSION_CREATED,
    SESSION_RENEWED,
    TOKEN_CREATED,
    TOKEN_REFUSED,
    USE_AFTER_END,
    ACCESS_DENIED,
    NOTIFICATION_SENT,
    NOTIFICATION_POSTPONED,
    NOTIFICATION_DROPPED,
)
ALL_LOG_EVENTS: Final = (*LOG_EVENTS.values(), SUCCESS_AFTER_FAIL, *LOGGED_ONLY)
