"""Erases the security events of one person."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from authx.audit.erasure import erase_events, erase_former_events
from authx.usernames import find_user_by_name


class Command(BaseCommand):
    help = "Erase the security events of one user, and mail about them that is still to be sent."

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", metavar="NAME", help="the name of an existing user")
        whose.add_argument("--deleted-user", metavar="PK", help="the primary key of a deleted user")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["user"] is None:
            count = erase_former_events(user_id=self._primary_key(options["deleted_user"]))
        else:
            user = find_user_by_name(options["user"])
            if user is None:
                raise CommandError(f"There is no user {options['user']!r}.")
            count = erase_events(user_id=user.pk)
        self.stdout.write(f"Erased {count} event{'' if count == 1 else 's'}.")

    def _primary_key(self, text: str) -> Any:
        try:
            return get_user_model()._meta.pk.to_python(text)
        except ValidationError as error:
            raise CommandError(f"{text!r} cannot be a primary key of a user.") from error
