"""Sends the mails that events left behind: once each, later if the mail server is away.

A notice is claimed before it is sent and deleted after. Killed in between, the worker may have sent
it: another one sends it again after the pause, under the same Message-ID.
"""

from datetime import timedelta
from typing import Final

from django.contrib.auth import get_user_model
from django.db import transaction

from authx import clock
from authx.audit.logs import log_event
from authx.audit.mail import build_message, email_address
from authx.audit.vocabulary import (
    NOTIFICATION_DROPPED,
    NOTIFICATION_POSTPONED,
    NOTIFICATION_SENT,
    LogEvent,
)
from authx.models import Notification, SecurityEvent, write_alias

# Longer than one mail can take (tasks.alerts has a time limit), doubled at every attempt.
PAUSE: Final = timedelta(minutes=2)
# The last one is some eight hours after the event.
MAX_ATTEMPTS: Final = 9


def send_next_notification() -> bool:
    """Try the notice that has been due longest; False when there is none."""
    notice = _claim()
    if notice is None:
        return False
    _send(notice)
    return True


def _claim() -> Notification | None:
    """Return a notice that no other worker will touch before its next attempt is due.

    By the clock that all workers share: one that is fast would send what another is sending.
    """
    now = clock.database_now()
    due = Notification.objects.filter(due_at__lte=now).select_related("event").order_by("due_at")
    with transaction.atomic(using=write_alias()):
        notice = due.select_for_update(skip_locked=True, of=("self",)).first()
        if notice is not None:
            pause = PAUSE * 2**notice.attempts
            notice.attempts += 1
            claimed = Notification.objects.filter(pk=notice.pk)
            claimed.update(attempts=notice.attempts, due_at=now + pause)
    return notice


def _send(notice: Notification) -> None:
    event = notice.event
    user = get_user_model()._base_manager.filter(pk__in=[event.user_id]).first()
    if user is None or not email_address(user):
        notice.delete()
        return
    try:
        build_message(event, user).send()
    except ValueError as error:
        # An address that no header can carry: it would fail every time.
        _drop(notice, error)
    except OSError as error:
        if notice.attempts >= MAX_ATTEMPTS:
            _drop(notice, error)
        else:
            _tell(NOTIFICATION_POSTPONED, event, error)
    else:
        notice.delete()
        _tell(NOTIFICATION_SENT, event)


def _drop(notice: Notification, error: Exception) -> None:
    _tell(NOTIFICATION_DROPPED, notice.event, error)
    notice.delete()


def _tell(entry: LogEvent, event: SecurityEvent, error: Exception | None = None) -> None:
    # Of an error its kind alone: a mail server's words hold the address.
    reason = f"{event.kind}, {type(error).__name__}" if error else event.kind
    log_event(entry, user_id=event.user_id, session_id=event.session_id, reason=reason)
