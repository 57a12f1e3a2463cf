"""Sends the mails that tell users of what happened to their account."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from authx.audit.notifications import send_next_notification

# A backlog is worked off in turns: what is left, and what is new, goes to the next.
TURN = timedelta(seconds=30)
# A mail that takes longer is cut off before another worker may try the same one (notices.PAUSE).
TIME_LIMIT = 110


@shared_task(name="tasks.alerts.send_notifications", ignore_result=True, time_limit=TIME_LIMIT)
def send_notifications() -> None:
    """Send what is due (see authx.audit.notifications)."""
    began_at = timezone.now()
    while timezone.now() < began_at + TURN and send_next_notification():
        pass
