"""Tells the logs what happened: one record an event, on the logger `authx.security`."""

import logging
from dataclasses import asdict
from functools import partial
from typing import Any
from uuid import UUID

from django.db import transaction

from authx.audit.vocabulary import TOKEN_REFUSED, USE_AFTER_END, LogEvent
from authx.context import RequestContext, current_context
from authx.errors import (
    AuthxError,
    InvalidAccessTokenError,
    InvalidRefreshTokenError,
    LateDuplicateError,
    RefreshTokenReusedError,
    SessionEndedError,
)
from authx.models import write_alias

logger = logging.getLogger("authx.security")

REFUSED_TOKENS = (InvalidAccessTokenError, InvalidRefreshTokenError)


def log_event(
    entry: LogEvent,
    *,
    user_id: Any = None,
    session_id: UUID | None = None,
    reason: str = "",
    source: RequestContext | None = None,
) -> None:
    """Log an event, its fields as attributes of the record; of the request under way by default."""
    source = source or current_context()
    user = None if user_id is None else str(user_id)
    session = None if session_id is None else str(session_id)
    logger.log(
        entry.level,
        "%s user=%s session=%s ip=%s reason=%s",
        *(entry.event, user, session, source.ip, reason),
        extra={
            "event": entry.event,
            "outcome": "success" if entry.succeeded else "failure",
            "user_id": user,
            "session_id": session,
            "reason": reason,
            **asdict(source),
        },
    )


def log_event_after_commit(
    entry: LogEvent, *, user_id: Any, session_id: UUID | None, reason: str = ""
) -> None:
    """Log an event of now once the present transaction is durable."""
    fields = {"user_id": user_id, "session_id": session_id, "reason": reason}
    transaction.on_commit(
        partial(log_event, entry, source=current_context(), **fields), using=write_alias()
    )


def log_refusal(error: AuthxError) -> None:
    """Log why a token was refused, which the answer does not tell."""
    if isinstance(error, SessionEndedError | LateDuplicateError):
        entry = USE_AFTER_END if isinstance(error, SessionEndedError) else TOKEN_REFUSED
        log_event(entry, user_id=error.user_id, session_id=error.session_id, reason=error.reason)
    # A reuse is an event of the trail, and told as one.
    elif isinstance(error, REFUSED_TOKENS) and not isinstance(error, RefreshTokenReusedError):
        log_event(TOKEN_REFUSED, reason=error.reason)
