"""Revokes sessions from the command line."""

from argparse import ArgumentParser, FileType
from typing import Any, TextIO

from django.core.management.base import BaseCommand, CommandError

from authx.models import EventKind
from authx.sessions.restore import LoggedChanges, read_changes, revoke_ahead_of_database
from authx.sessions.revoke import revoke_all, revoke_all_users
from authx.usernames import find_user_by_name


class Command(BaseCommand):
    help = "Revoke every session of one user or of all users, or those that a restore has revived."

    def add_arguments(self, parser: ArgumentParser) -> None:
        whose = parser.add_mutually_exclusive_group(required=True)
        whose.add_argument("--user", metavar="NAME", help="the user name")
        whose.add_argument("--all", action="store_true", help="all users")
        whose.add_argument(
            "--ahead-of-database",
            metavar="LOG",
            type=FileType(),
            help="after a backup was restored: those that have ended or rotated since, by the JSON "
            "log of the web servers since shortly before the backup (- for standard input)",
        )

    def handle(self, *args: Any, **options: Any) -> None:
        reason = EventKind.ENDED_BY_OPERATOR
        if options["ahead_of_database"] is not None:
            self._revoke_ahead(options["ahead_of_database"])
            return
        if options["all"]:
            count = revoke_all_users(reason=reason)
        else:
            count = revoke_all(user_id=self._user_id(options["user"]), reason=reason)
        self._report(count)

    def _revoke_ahead(self, log: TextIO) -> None:
        with log:
            changes = read_changes(log)
        if not changes.read:
            raise CommandError(
                f"No record of a change to a session could be read, and nothing was revoked. "
                f"{_unreadable(changes)}The log must be the JSON log of the web servers."
            )
        self.stdout.write(
            f"Read {changes.read} records of changes to sessions, "
            f"from {changes.oldest.isoformat()} to {changes.newest.isoformat()}."
        )
        self._report(revoke_ahead_of_database(changes))
        if changes.unreadable:
            self.stdout.write(_unreadable(changes))
        if changes.passwords_changed:
            keys = ", ".join(sorted(changes.passwords_changed))
            self.stdout.write(
                f"These users have changed their password since, and the database has the old one: "
                f"{keys} (primary keys). Let them set a new one."
            )

    def _report(self, count: int) -> None:
        self.stdout.write(f"Revoked {count} session{'' if count == 1 else 's'}.")

    def _user_id(self, name: str) -> Any:
        user = find_user_by_name(name)
        if user is None:
            raise CommandError(f"There is no user {name!r}.")
        return user.pk


def _unreadable(changes: LoggedChanges) -> str:
    if not changes.unreadable:
        return ""
    return (
        f"{changes.unreadable} lines that mention such a change could not be read, "
        f"the first is line {changes.first_unreadable}. "
    )
