"""The sweep by hand, or from cron where there is no Celery."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from authx.sessions.sweep import count_sweepable, sweep


class Command(BaseCommand):
    help = "Delete sessions and events that are older than their retention."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only count, delete nothing")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        report = count_sweepable() if options["dry_run"] else sweep()
        if report.skipped:
            self.stdout.write("Another sweep is running.")
            return
        verb = "Would delete" if options["dry_run"] else "Deleted"
        self.stdout.write(f"{verb} {report.sessions} sessions and {report.events} events.")
