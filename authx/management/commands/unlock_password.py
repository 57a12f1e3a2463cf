"""Unlocks an account after too many failed password attempts."""

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from authx.passwords.check import unlock_password
from authx.passwords.limits import reset_attempts
from authx.usernames import find_user_by_name


class Command(BaseCommand):
    help = "Reset the failed attempts and the sign-in limits of one user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="NAME", required=True, help="the user name")

    def handle(self, *args: Any, **options: Any) -> None:
        user = find_user_by_name(options["user"])
        if user is None:
            raise CommandError(f"There is no user {options['user']!r}.")
        unlock_password(user_id=user.pk)
        reset_attempts(user)
        self.stdout.write("Unlocked.")
