"""What a user reads of an event: plain text and HTML, from templates that a project overrides."""

from email.utils import parseaddr
from typing import TYPE_CHECKING

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.utils.crypto import salted_hmac

from authx.models import SecurityEvent

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def email_address(user: "User") -> str:
    """Return where a user wants mail, or nothing."""
    address: str = getattr(user, user.get_email_field_name(), "") or ""
    return address


def build_message(event: SecurityEvent, user: "User") -> EmailMultiAlternatives:
    """Return the mail about an event; the same event has the same Message-ID, sent twice or not."""
    context = {
        "event": event,
        "user": user,
        "device": event.device_name or event.platform or event.user_agent or "unknown",
    }
    stem = f"authx/mail/{event.kind}"
    # One line, whatever a template and a name bring in.
    subject = " ".join(render_to_string(f"{stem}_subject.txt", context).split())
    message = EmailMultiAlternatives(
        subject,
        render_to_string(f"{stem}.txt", context),
        to=[email_address(user)],
        headers={"Message-ID": _message_id(event), "Auto-Submitted": "auto-generated"},
    )
    message.attach_alternative(render_to_string(f"{stem}.html", context), "text/html")
    return message


def _message_id(event: SecurityEvent) -> str:
    # Hashed: a number would tell how many events there are.
    name = salted_hmac("authx.audit.message", str(event.pk), algorithm="sha256").hexdigest()[:32]
    domain = parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]
    return f"<{name}@{domain}>"
