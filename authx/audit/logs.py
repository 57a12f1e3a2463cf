"""Log records of security events, on the logger `authx.security`.

Names and levels are those of the OWASP Logging Vocabulary where it has one. SECURITY.md lists them.
"""

import logging
from dataclasses import asdict
from logging import CRITICAL, ERROR, INFO, WARNING
from typing import Any, Final, NamedTuple
from uuid import UUID

from django.db import transaction

from authx.context import current_context, use_context
from authx.errors import (
    AuthxError,
    InvalidAccessTokenError,
    InvalidRefreshTokenError,
    LateDuplicateError,
    RefreshTokenReusedError,
    SessionEndedError,
)
from authx.models import EventKind, write_alias
from authx.signals import security_event_logged

logger = logging.getLogger("authx.security")


class LogEvent(NamedTuple):
    """What a log record of one kind says of itself."""

    name: str
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
    EventKind.REPLACED: LogEvent("session_replaced", INFO, succeeded=True),
    EventKind.EVICTED: LogEvent("excess_sessions_exceeded", WARNING, succeeded=True),
    EventKind.REUSE_DETECTED: LogEvent("authn_token_reuse", CRITICAL, succeeded=False),
    EventKind.TWO_PLACES: LogEvent("authn_token_two_places", WARNING, succeeded=True),
    EventKind.PASSWORD_CHANGED: LogEvent("authn_password_change", INFO, succeeded=True),
    EventKind.PASSWORD_CHANGE_FAILED: LogEvent(
        "authn_password_change_fail", WARNING, succeeded=False
    ),
    EventKind.RECOVERY_REQUESTED: LogEvent("authn_recovery_request", INFO, succeeded=True),
    EventKind.REAUTHENTICATED: LogEvent("authn_again_success", INFO, succeeded=True),
    EventKind.REAUTHENTICATION_FAILED: LogEvent("authn_again_fail", WARNING, succeeded=False),
    EventKind.DEACTIVATED: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.DELETED: LogEvent("authn_token_revoked", WARNING, succeeded=True),
    EventKind.SIGN_IN_LIMITED: LogEvent("authn_login_fail_max", WARNING, succeeded=False),
    EventKind.PASSWORD_LOCKED: LogEvent("authn_login_lock", WARNING, succeeded=True),
    EventKind.PASSWORD_UNLOCKED: LogEvent("authn_login_unlock", WARNING, succeeded=True),
    EventKind.RATE_LIMITED: LogEvent("excess_rate_limit_exceeded", WARNING, succeeded=False),
}
# Instead of authn_login_success, where the attempt before it had failed.
SUCCESS_AFTER_FAIL: Final = LogEvent("authn_login_successafterfail", WARNING, succeeded=True)

# Logged only: too frequent, or of too little interest to a user, for a row.
SESSION_CREATED: Final = LogEvent("session_created", INFO, succeeded=True)
SESSION_RENEWED: Final = LogEvent("session_renewed", INFO, succeeded=True)
TOKEN_CREATED: Final = LogEvent("authn_token_created", INFO, succeeded=True)
TOKEN_REFUSED: Final = LogEvent("authn_token_refused", INFO, succeeded=False)
REFRESH_REFUSED: Final = LogEvent("session_renewal_refused", INFO, succeeded=False)
# A warning where the vocabulary says critical: a phone that was signed out from another device, or
# was not used for a month, does this once.
USE_AFTER_END: Final = LogEvent("session_use_after_expire", WARNING, succeeded=False)
ACCESS_DENIED: Final = LogEvent("authz_fail", WARNING, succeeded=False)
NOTIFICATION_SENT: Final = LogEvent("notification_sent", INFO, succeeded=True)
NOTIFICATION_POSTPONED: Final = LogEvent("notification_postponed", WARNING, succeeded=False)
NOTIFICATION_DROPPED: Final = LogEvent("notification_dropped", ERROR, succeeded=False)
EVENTS_ERASED: Final = LogEvent("sensitive_delete", WARNING, succeeded=True)

LOGGED_ONLY: Final = (
    SESSION_CREATED,
    SESSION_RENEWED,
    TOKEN_CREATED,
    TOKEN_REFUSED,
    REFRESH_REFUSED,
    USE_AFTER_END,
    ACCESS_DENIED,
    NOTIFICATION_SENT,
    NOTIFICATION_POSTPONED,
    NOTIFICATION_DROPPED,
    EVENTS_ERASED,
)
ALL_LOG_EVENTS: Final = (*LOG_EVENTS.values(), SUCCESS_AFTER_FAIL, *LOGGED_ONLY)


def log_event(
    event: LogEvent,
    *,
    user_id: Any = None,
    session_id: UUID | None = None,
    reason: str = "",
    generation: int | None = None,
) -> None:
    """Log an event of the current request, with its fields as attributes of the record."""
    context = current_context()
    user = None if user_id is None else str(user_id)
    session = None if session_id is None else str(session_id)
    logger.log(
        event.level,
        "%s user=%s session=%s ip=%s reason=%s",
        *(event.name, user, session, context.ip, reason),
        extra={
            "event": event.name,
            "outcome": "success" if event.succeeded else "failure",
            "user_id": user,
            "session_id": session,
            "reason": reason,
            # Of the session after a rotation; None for other events.
            "generation": generation,
            **asdict(context),
        },
    )
    security_event_logged.send_robust(
        sender=LogEvent, event=event, reason=reason, user_id=user_id, session_id=session_id
    )


def log_event_after_commit(
    event: LogEvent,
    *,
    user_id: Any,
    session_id: UUID | None,
    reason: str = "",
    generation: int | None = None,
) -> None:
    """Log an event of the current request once the current transaction is durable."""
    context = current_context()

    def log() -> None:
        with use_context(context):
            log_event(
                event,
                user_id=user_id,
                session_id=session_id,
                reason=reason,
                generation=generation,
            )

    transaction.on_commit(log, using=write_alias())


def log_refusal(error: AuthxError) -> None:
    """Log why a token was refused, which the response does not say."""
    if isinstance(error, SessionEndedError | LateDuplicateError):
        event = USE_AFTER_END if isinstance(error, SessionEndedError) else REFRESH_REFUSED
        log_event(event, user_id=error.user_id, session_id=error.session_id, reason=error.reason)
    elif isinstance(error, InvalidAccessTokenError):
        log_event(TOKEN_REFUSED, reason=error.reason)
    # A reuse has a row of its own, which is logged already.
    elif isinstance(error, InvalidRefreshTokenError) and not isinstance(
        error, RefreshTokenReusedError
    ):
        log_event(REFRESH_REFUSED, reason=error.reason)
