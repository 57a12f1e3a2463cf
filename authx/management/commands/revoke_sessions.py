"""Ends sessions from the command line, when somebody calls at night."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError

from authx.models import RevocationReason
from authx.sessions.revoke import revoke_all, revoke_all_users


class Command(BaseCommand):
    help = "End every session of one user, or of everybody."

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", metavar="NAME", help="the user name of the user")
        whose.add_argument("--all", action="store_true", help="everybody's")

    def handle(self, *args: Any, **options: Any) -> None:  # noqa: ARG002 -- Django's signature
        reason = RevocationReason.ENDED_BY_OPERATOR
        if options["all"]:
            count = revoke_all_users(reason=reason)
        else:
            count = revoke_all(user_id=self._user_id(options["user"]), reason=reason)
        self.stdout.write(f"Ended {count} sessions.")

    def _user_id(self, name: str) -> Any:
        users = get_user_model()
        try:
            return users._default_manager.get_by_natural_key(name).pk
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {name!r}.") from error
