"""Unlocks an account after too many failed password attempts."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from authx.passwords.check import unlock_password
from authx.passwords.limits import reset_attempts


class Command(BaseCommand):
    help = "Reset the failed attempts and the sign-in limits of one user."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="NAME", required=True, help="the user name")

    def handle(self, *args: Any, **options: Any) -> None:
        users = get_user_model()
        try:
            user = users._default_manager.get_by_natural_key(options["user"])
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {options['user']!r}.") from error
        unlock_password(user_id=user.pk)
        reset_attempts(user)
        self.stdout.write("Unlocked.")
