"""Lets a person sign in again whom guesses at the password have locked out."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from authx.sessions.passwords import restore_password
from authx.throttling.passwords import forget_attempts


class Command(BaseCommand):
    help = "Forget the wrong passwords of one person, and what limits their sign-ins."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--user", metavar="NAME", required=True, help="the person's user name")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        users = get_user_model()
        try:
            user = users._default_manager.get_by_natural_key(options["user"])
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {options['user']!r}.") from error
        restore_password(user_id=user.pk)
        forget_attempts(user.get_username())
        self.stdout.write("Restored.")
