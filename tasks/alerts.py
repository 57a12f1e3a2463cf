"""Sends notifications about security events."""

import logging
from datetime import timedelta

from celery import shared_task
from django.utils import timezone

from authx.audit.notifications import oldest_notification_age, send_next_notification

logger = logging.getLogger(__name__)

# A run stops after this time; the next run continues with the backlog.
MAX_RUN_TIME = timedelta(seconds=30)
# Shorter than RETRY_DELAY of audit.notifications, after which another worker tries the same mail.
TIME_LIMIT = 110
# Mail that has been waiting for longer is in the log at every run.
LATE = timedelta(minutes=10)


@shared_task(name="tasks.alerts.send_notifications", ignore_result=True, time_limit=TIME_LIMIT)
def send_notifications() -> None:
    """Send what is due (see authx.audit.notifications)."""
    started_at = timezone.now()
    while timezone.now() < started_at + MAX_RUN_TIME and send_next_notification():
        pass
    age = oldest_notification_age()
    if age > LATE:
        logger.warning("mail has been waiting for %d minutes", age // timedelta(minutes=1))
