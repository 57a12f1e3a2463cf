"""More databases for a test: a second connection, and a replica that is asked for reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.contrib.auth.models import User, UserManager
from django.db import connections


class Replica:
    """Reads go to a replica that cannot be written."""

    def db_for_read(self, _: Any, **__: Any) -> str:
        return "replica"

    def db_for_write(self, _: Any, **__: Any) -> str:
        return "default"

    def allow_relation(self, *_: Any, **__: Any) -> bool:
        return True


def add_connection(alias: str, **options: str) -> Any:
    """Add a second connection to the test's database under another alias."""
    added = connections["default"].copy(alias=alias)
    added.settings_dict["OPTIONS"] |= options
    connections[alias] = added
    return added


class ReplicaManager(UserManager[User]):
    """A project's manager that reads from the replica, whatever a router says."""

    use_in_migrations = False

    def get_queryset(self) -> Any:
        return super().get_queryset().using("replica")


def use_manager(monkeypatch: Any, manager: Any) -> None:
    """Make it the default and the base manager of the user model."""
    manager.model, manager.name = User, "objects"
    for kind in ("default_manager", "base_manager"):
        monkeypatch.setitem(vars(User._meta), kind, manager)


@contextmanager
def replica_asked(settings: Any) -> Iterator[list[str]]:
    """Yield the list of what is asked of a replica, which refuses to write."""
    added = add_connection("replica", options="-c default_transaction_read_only=on")
    settings.DATABASE_ROUTERS = [Replica()]
    asked: list[str] = []

    def note(execute: Any, sql: str, *rest: Any) -> Any:
        asked.append(sql)
        return execute(sql, *rest)

    with added.execute_wrapper(note):
        yield asked
    added.close()
    del connections["replica"]
