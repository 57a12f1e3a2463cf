"""Sends the mails that tell people of what happened to their account."""

from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from authx.trail.notices import send_next_notice

# A backlog is worked off in turns: what is left, and what is new, goes to the next.
TURN = timedelta(seconds=30)
# A mail that takes longer is cut off before another worker may try the same one (notices.PAUSE).
TIME_LIMIT = 110


@shared_task(name="tasks.alerts.send_notices", ignore_result=True, time_limit=TIME_LIMIT)
def send_notices() -> None:
    """Send what is due (see authx.trail.notices)."""
    began_at = timezone.now()
    while timezone.now() < began_at + TURN and send_next_notice():
        pass
