"""Counts what the signals of authx report."""

from typing import Any, Final

from authx import signals
from authx.audit.logs import (
    ALL_LOG_EVENTS,
    LOG_EVENTS,
    REFRESH_REFUSED,
    SESSION_RENEWED,
    SUCCESS_AFTER_FAIL,
    TOKEN_REFUSED,
    USE_AFTER_END,
    LogEvent,
)
from authx.contrib.metrics.instruments import (
    ACCESS_TOKEN_REFUSALS,
    OTHER,
    PASSWORD_CHECKS,
    RATE_LIMIT_REFUSALS,
    REFRESHES,
    REFUSAL_REASONS,
    REVOKED_SESSIONS,
    SECURITY_EVENTS,
    SIGN_INS,
    SWEEP_DURATION,
    SWEEP_FINISHED,
    SWEPT_ROWS,
)
from authx.models import EventKind
from authx.sessions.refresh import IN_GRACE_PERIOD, SAME_KEY, UNCONFIRMED
from authx.sessions.sweep import SweepReport

UID: Final = "authx.contrib.metrics"
SIGN_IN_OUTCOMES: Final = {
    LOG_EVENTS[EventKind.SIGNED_IN].name: "success",
    SUCCESS_AFTER_FAIL.name: "success",
    LOG_EVENTS[EventKind.SIGN_IN_FAILED].name: "failure",
}
REFRESH_OUTCOMES: Final = (
    ("rotated", ""),
    *(("retried", reason) for reason in (SAME_KEY, UNCONFIRMED, IN_GRACE_PERIOD)),
    ("reuse", ""),
)


def connect() -> None:
    """Receive the signals of authx; called when Django has loaded the apps."""
    signals.security_event_logged.connect(count_event, dispatch_uid=UID)
    signals.sessions_revoked.connect(count_revocation, dispatch_uid=UID)
    signals.rate_limit_refused.connect(count_rate_limit, dispatch_uid=UID)
    signals.sweep_finished.connect(note_sweep, dispatch_uid=UID)
    signals.password_checks_changed.connect(count_password_checks, dispatch_uid=UID)
    # From zero, so that the first reuse is an increase and not a new series.
    for outcome, reason in REFRESH_OUTCOMES:
        REFRESHES.labels(outcome, reason)
    for event in ALL_LOG_EVENTS:
        SECURITY_EVENTS.labels(event.name)
    for outcome in set(SIGN_IN_OUTCOMES.values()):
        SIGN_INS.labels(outcome)


def count_event(event: LogEvent, reason: str, **_: Any) -> None:
    SECURITY_EVENTS.labels(event.name).inc()
    if event == SESSION_RENEWED:
        # Its reasons are constants of sessions.refresh, "" for a rotation.
        REFRESHES.labels("retried" if reason else "rotated", reason).inc()
    elif event in (REFRESH_REFUSED, USE_AFTER_END):
        REFRESHES.labels("refused", _bounded(reason)).inc()
    elif event == LOG_EVENTS[EventKind.REUSE_DETECTED]:
        REFRESHES.labels("reuse", "").inc()
    elif event == TOKEN_REFUSED:
        ACCESS_TOKEN_REFUSALS.labels(_bounded(reason)).inc()
    elif event.name in SIGN_IN_OUTCOMES:
        SIGN_INS.labels(SIGN_IN_OUTCOMES[event.name]).inc()


def count_revocation(reason: EventKind, count: int, **_: Any) -> None:
    REVOKED_SESSIONS.labels(reason.value).inc(count)


def count_rate_limit(limits: list[str], **_: Any) -> None:
    for limit in limits:
        RATE_LIMIT_REFUSALS.labels(limit).inc()


def note_sweep(report: SweepReport, seconds: float, **_: Any) -> None:
    SWEPT_ROWS.labels("sessions").inc(report.sessions)
    SWEPT_ROWS.labels("events").inc(report.events)
    SWEEP_DURATION.set(seconds)
    SWEEP_FINISHED.set_to_current_time()


def count_password_checks(state: str, change: int, **_: Any) -> None:
    # "running" or "waiting".
    PASSWORD_CHECKS.labels(state).inc(change)


def _bounded(reason: str) -> str:
    return reason if reason in REFUSAL_REASONS else OTHER
