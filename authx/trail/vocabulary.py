"""What each thing that happens is called in the logs, and how grave it is.

Names and levels of OWASP's Logging Vocabulary, where it has one; SECURITY.md holds the inventory.
"""

from logging import CRITICAL, ERROR, INFO, WARNING
from typing import Final, NamedTuple

from authx.models import EventKind


class Entry(NamedTuple):
    event: str
    level: int
    succeeded: bool


OF_KIND: Final[dict[str, Entry]] = {
    EventKind.SIGNED_IN: Entry("authn_login_success", INFO, succeeded=True),
    EventKind.SIGN_IN_FAILED: Entry("authn_login_fail", WARNING, succeeded=False),
    EventKind.NEW_DEVICE: Entry("authn_login_newdevice", WARNING, succeeded=True),
    EventKind.SIGNED_OUT: Entry("session_logout", INFO, succeeded=True),
    EventKind.SIGNED_OUT_EVERYWHERE: Entry("session_logout", INFO, succeeded=True),
    EventKind.TOKEN_REVOKED: Entry("authn_token_revoked", WARNING, succeeded=True),
    EventKind.ENDED_BY_PERSON: Entry("authn_token_revoked", WARNING, succeeded=True),
    EventKind.ENDED_BY_OPERATOR: Entry("authn_token_revoked", WARNING, succeeded=True),
    EventKind.REPLACED: Entry("session_expired", INFO, succeeded=True),
    EventKind.EVICTED: Entry("excess_sessions_exceeded", WARNING, succeeded=True),
    EventKind.REUSE_DETECTED: Entry("authn_token_reuse", CRITICAL, succeeded=False),
    EventKind.TWO_PLACES: Entry("authn_token_two_places", WARNING, succeeded=True),
    EventKind.PASSWORD_CHANGED: Entry("authn_password_change", INFO, succeeded=True),
    EventKind.PASSWORD_CHANGE_FAILED: Entry("authn_password_change_fail", WARNING, succeeded=False),
    EventKind.DEACTIVATED: Entry("authn_token_revoked", WARNING, succeeded=True),
    EventKind.DELETED: Entry("authn_token_revoked", WARNING, succeeded=True),
    EventKind.SIGN_IN_LIMITED: Entry("authn_login_fail_max", WARNING, succeeded=False),
    EventKind.PASSWORD_SIGN_IN_OFF: Entry("authn_login_lock", WARNING, succeeded=True),
    EventKind.PASSWORD_SIGN_IN_ON: Entry("authn_login_unlock", WARNING, succeeded=True),
    EventKind.RATE_LIMITED: Entry("excess_rate_limit_exceeded", WARNING, succeeded=False),
}
# Instead of authn_login_success, where the attempt before it had failed.
SUCCESS_AFTER_FAIL: Final = Entry("authn_login_successafterfail", WARNING, succeeded=True)

# Too many, or of too little interest to a person, for a row.
SESSION_CREATED: Final = Entry("session_created", INFO, succeeded=True)
SESSION_RENEWED: Final = Entry("session_renewed", INFO, succeeded=True)
TOKEN_CREATED: Final = Entry("authn_token_created", INFO, succeeded=True)
TOKEN_REFUSED: Final = Entry("authn_token_refused", INFO, succeeded=False)
# A warning where the vocabulary says critical: a phone that was signed out from elsewhere, or lay
# in a drawer for a month, does this once and honestly.
USE_AFTER_END: Final = Entry("session_use_after_expire", WARNING, succeeded=False)
ACCESS_DENIED: Final = Entry("authz_fail", WARNING, succeeded=False)
NOTICE_SENT: Final = Entry("notice_sent", INFO, succeeded=True)
NOTICE_POSTPONED: Final = Entry("notice_postponed", WARNING, succeeded=False)
NOTICE_DROPPED: Final = Entry("notice_dropped", ERROR, succeeded=False)

LOGGED_ONLY: Final = (
    SESSION_CREATED,
    SESSION_RENEWED,
    TOKEN_CREATED,
    TOKEN_REFUSED,
    USE_AFTER_END,
    ACCESS_DENIED,
    NOTICE_SENT,
    NOTICE_POSTPONED,
    NOTICE_DROPPED,
)
EVERYTHING: Final = (*OF_KIND.values(), SUCCESS_AFTER_FAIL, *LOGGED_ONLY)
