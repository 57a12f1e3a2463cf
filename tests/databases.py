"""More databases for a test: a second connection, and a replica that is asked for reads."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

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
