"""Sends notifications, for cron where there is no Celery."""

from typing import Any

from django.core.management.base import BaseCommand

from authx.audit.notifications import send_next_notification
from authx.models import Notification


class Command(BaseCommand):
    help = "Send the mails about security events that are due."

    def handle(self, *args: Any, **options: Any) -> None:
        count = 0
        while send_next_notification():
            count += 1
        waiting = Notification.objects.count()
        self.stdout.write(f"Processed {count} notifications; {waiting} wait to be sent.")
