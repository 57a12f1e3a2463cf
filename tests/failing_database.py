"""A database whose statements fail."""

from collections.abc import Callable
from typing import Any

# What a test's own transaction needs goes through.
CONTROL = ("SAVEPOINT", "ROLLBACK", "RELEASE")


def fail_every_statement(error: Exception) -> Callable[..., Any]:
    """Return a wrapper under which every statement fails, as with a database that is away."""

    def wrapper(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if sql.startswith(CONTROL):
            return execute(sql, params, many, context)
        raise error

    return wrapper
