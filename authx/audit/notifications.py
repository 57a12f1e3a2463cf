"""Mails about security events: an outbox table, a send that is retried, and their text.

A notification is claimed before it is sent and deleted afterwards. A worker that is killed in
between may have sent it: another one sends it again later, with the same Message-ID.
"""

import re
from datetime import timedelta
from email.utils import parseaddr
from typing import TYPE_CHECKING, Final

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.core.mail.message import sanitize_address
from django.db import transaction
from django.db.models import DurationField, ExpressionWrapper, F
from django.template.loader import render_to_string
from django.utils.crypto import salted_hmac
from django.utils.translation import override, pgettext

from authx import clock
from authx.audit.events import NOT_SENT
from authx.audit.languages import format_instant, mail_language
from authx.audit.links import not_me_link, recovery_link, recovery_page
from authx.audit.logs import (
    NOTIFICATION_DROPPED,
    NOTIFICATION_POSTPONED,
    NOTIFICATION_SENT,
    LogEvent,
    log_event,
)
from authx.audit.nobody import erase_event
from authx.models import EventKind, Notification, SecurityEvent, all_users, write_alias

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# Longer than one mail can take (tasks.alerts has a time limit); doubled at every attempt.
RETRY_DELAY: Final = timedelta(minutes=2)
# The last attempt is some eight hours after the event.
MAX_ATTEMPTS: Final = 9
# What programs for mail turn into a link: a scheme or path, an address, a name of a domain with
# any of the dots that browsers take for one. Version numbers are none.
LINK_LIKE: Final = re.compile(r"//|@|www[.]|\w[.\u3002\uff0e\uff61][^\W\d_]{2}", re.IGNORECASE)


def send_next_notification() -> bool:
    """Send the notification that has been due longest; return False when there is none."""
    notification = _claim()
    if notification is None:
        return False
    _send(notification)
    return True


def oldest_notification_age() -> timedelta:
    """Return how long the oldest unsent mail has been waiting; zero if there is none."""
    age = ExpressionWrapper(
        clock.database_now() - F("event__created_at"), output_field=DurationField()
    )
    waiting = Notification.objects.order_by("event_id").annotate(age=age)
    return waiting.values_list("age", flat=True).first() or timedelta(0)


def email_address(user: "User") -> str:
    """Return the address for mail to a user, or an empty string."""
    address: str = getattr(user, user.get_email_field_name(), "") or ""
    return address


def build_message(event: SecurityEvent, user: "User", language: str) -> EmailMultiAlternatives:
    """Return the mail about an event, from templates that a project may override.

    The same event has the same Message-ID, however often it is sent.
    """
    stem = f"authx/mail/{event.kind}"
    with override(language):
        unknown = pgettext("device or address", "unknown")
        context = {
            "event": event,
            "user": user,
            "name": _name_of(user),
            "device": _device_of(event) or unknown,
            "ip": event.ip or unknown,
            "time": format_instant(event.created_at),
            "not_me_link": not_me_link(event),
            "recovery_page": recovery_page(),
        }
        if event.kind == EventKind.RECOVERY_REQUESTED and user.has_usable_password():
            context["recovery_link"] = recovery_link(user)
        # A subject is one line, whatever a template and a device name contain.
        subject = " ".join(render_to_string(f"{stem}_subject.txt", context).split())
        text = render_to_string(f"{stem}.txt", context)
        html = render_to_string(f"{stem}.html", context)
    message = EmailMultiAlternatives(
        subject,
        text,
        to=[email_address(user)],
        headers={
            "Message-ID": _message_id(event),
            "Auto-Submitted": "auto-generated",
            # RFC 3282.
            "Content-Language": language,
        },
    )
    message.attach_alternative(html, "text/html")
    return message


def _name_of(user: "User") -> str:
    """Return whom a mail greets; whoever chose the name need not be who reads the mail."""
    username, address = user.get_username(), email_address(user)
    return address if LINK_LIKE.search(username) else username


def _device_of(event: SecurityEvent) -> str:
    """Return what to call a device, in words of its client, of which none becomes a link."""
    # Without a session, a stranger has chosen the user agent, and would write in this mail.
    user_agent = event.user_agent if event.session_id else ""
    words = (event.device_name, event.platform, user_agent)
    return next((text for text in words if text and not LINK_LIKE.search(text)), "")


def _message_id(event: SecurityEvent) -> str:
    # Hashed, because a primary key would reveal how many events there are.
    name = salted_hmac("authx.audit.message", str(event.pk), algorithm="sha256").hexdigest()[:32]
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{name}@{domain}>"


def _claim() -> Notification | None:
    """Return a notification that no other worker takes before its next attempt is due.

    Due times are compared by the database's clock: a worker whose own clock is ahead would
    send what another one is sending.
    """
    now = clock.database_now()
    due = Notification.objects.filter(due_at__lte=now).select_related("event").order_by("due_at")
    with transaction.atomic(using=write_alias()):
        notification = due.select_for_update(skip_locked=True, of=("self",)).first()
        if notification is not None:
            delay = RETRY_DELAY * 2**notification.attempts
            notification.attempts += 1
            claimed = Notification.objects.filter(pk=notification.pk)
            claimed.update(attempts=notification.attempts, due_at=now + delay)
    return notification


def _send(notification: Notification) -> None:
    event = notification.event
    user = all_users().filter(pk__in=[event.user_id]).first()
    if user is None or not email_address(user) or event.reason == NOT_SENT:
        notification.delete()
        if event.user_id is None and not event.former_user_id:
            # A link for a name that nobody has; whether it was asked for is in the log.
            erase_event(event)
        return
    try:
        # As Django does when it sends.
        sanitize_address(email_address(user), "utf-8")
    except ValueError as error:
        # An address that no mail header can carry fails at every attempt.
        _drop(notification, error)
        return
    try:
        build_message(event, user, mail_language(user, notification.language)).send()
    except Exception as error:  # noqa: BLE001 -- a template of a project can raise anything
        # Whatever it is, it costs this mail one of its attempts, and no other mail its turn.
        if notification.attempts >= MAX_ATTEMPTS:
            _drop(notification, error)
        else:
            _log(NOTIFICATION_POSTPONED, event, error)
    else:
        notification.delete()
        _log(NOTIFICATION_SENT, event)


def _drop(notification: Notification, error: Exception) -> None:
    _log(NOTIFICATION_DROPPED, notification.event, error)
    notification.delete()


def _log(outcome: LogEvent, event: SecurityEvent, error: Exception | None = None) -> None:
    # Only the type of an error: a mail server's message contains the address.
    reason = f"{event.kind}, {type(error).__name__}" if error else event.kind
    log_event(outcome, user_id=event.user_id, session_id=event.session_id, reason=reason)
