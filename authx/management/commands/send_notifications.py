"""The mails by hand, or from cron where there is no Celery."""

from typing import Any

from django.core.management.base import BaseCommand

from authx.audit.notifications import send_next_notification


class Command(BaseCommand):
    help = "Send the mails about security events that are due."

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        count = 0
        while send_next_notification():
            count += 1
        self.stdout.write(f"Worked off {count} notices.")
