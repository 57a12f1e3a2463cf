"""Lets a user sign in again whom guesses at the password have locked out."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from authx.passwords.check import unlock_password
from authx.passwords.limits import reset_attempts


class Command(BaseCommand):
    help = "Forget the wrong passwords of one user, and what limits their sign-ins."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="NAME", required=True, help="the user's user name")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        users = get_user_model()
        try:
            user = users._default_manager.get_by_natural_key(options["user"])
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {options['user']!r}.") from error
        unlock_password(user_id=user.pk)
        reset_attempts(user.get_username())
        self.stdout.write("Restored.")
