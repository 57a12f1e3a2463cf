"""Revokes sessions from the command line."""

from argparse import ArgumentParser
from typing import Any

from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.utils.translation import ngettext

from authx.models import EventKind
from authx.sessions.revoke import revoke_all, revoke_all_users


class Command(BaseCommand):
    help = "Revoke every session of one user or of all users."

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", metavar="NAME", help="the user name")
        whose.add_argument("--all", action="store_true", help="all users")

    def handle(self, *args: Any, **options: Any) -> None:
        reason = EventKind.ENDED_BY_OPERATOR
        if options["all"]:
            count = revoke_all_users(reason=reason)
        else:
            count = revoke_all(user_id=self._user_id(options["user"]), reason=reason)
        self.stdout.write(ngettext("Revoked %d session.", "Revoked %d sessions.", count) % count)

    def _user_id(self, name: str) -> Any:
        users = get_user_model()
        try:
            return users._default_manager.get_by_natural_key(name).pk
        except users.DoesNotExist as error:
            raise CommandError(f"There is no user {name!r}.") from error
