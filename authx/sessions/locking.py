"""Conflicts and locks. The order of locks is always user before session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections, transaction

from authx import clock
from authx.errors import ConflictError, CredentialsChangedError, InvalidCredentialsError
from authx.models import all_users, write_alias

if TYPE_CHECKING:
    from django.contrib.auth.models import User

T = TypeVar("T")

# A conflict means that another process changed the row, which it can do only a few times.
ATTEMPTS: Final = 10
# Serialization failure and deadlock: the transaction was rolled back, so it can be repeated.
RETRYABLE: Final = frozenset({"40001", "40P01"})


def retry_on_conflict(attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns; repeat it after a ConflictError or a rolled back transaction.

    Raises the error of the last attempt.
    """
    for _ in range(ATTEMPTS - 1):
        try:
            return attempt()
        except ConflictError:
            continue
        except DatabaseError as error:
            if not _is_retryable(error):
                raise
    return attempt()


def _is_retryable(error: DatabaseError) -> bool:
    rolled_back = getattr(error.__cause__, "sqlstate", None) in RETRYABLE
    # Inside a caller's transaction, more was rolled back than this can repeat.
    return rolled_back and not connections[write_alias()].in_atomic_block


@contextmanager
def atomic() -> Iterator[None]:
    """Open a transaction in the database of the sessions, at READ COMMITTED.

    At a stricter level, which a project may have set, a transaction that waits for a lock has a
    snapshot that is older than what the lock protects.
    """
    connection = connections[write_alias()]
    is_outermost = not connection.in_atomic_block
    with transaction.atomic(using=write_alias()):
        level = getattr(connection, "isolation_level", None)
        if is_outermost and level is not None and level.name != "READ_COMMITTED":
            with connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL READ COMMITTED")
        yield


def require_no_transaction() -> None:
    """Raise RuntimeError inside a transaction of the caller.

    Its rollback would undo a rotation whose pair the app already has, or the revocation of a stolen
    session.
    """
    blocks: list[Any] = connections[write_alias()].atomic_blocks
    # The check of atomic(durable=True), without opening a transaction.
    if blocks and not blocks[-1]._from_testcase:
        raise RuntimeError("A refresh cannot be part of another transaction.")


def lock_user(user_id: Any) -> "User | None":
    """Lock a user's row until the transaction ends, and return it; see clock.read_at.

    FOR NO KEY UPDATE: the insert of a session takes a KEY SHARE lock on its user, with which a
    plain FOR UPDATE can deadlock.
    """
    # Inherited columns, such as the password, are in rows of the parent models.
    tables = ("self", *_parents(get_user_model()))
    rows = all_users().select_for_update(no_key=True, of=tables).filter(pk=user_id)
    locked: User | None = rows.annotate(read_at=clock.database_now()).first()
    return locked


def _parents(model: Any, path: str = "") -> Iterator[str]:
    """Yield the relations to the tables of the parent models."""
    for parent, link in model._meta.concrete_model._meta.parents.items():
        yield path + link.name
        yield from _parents(parent, f"{path}{link.name}__")


def lock_unchanged(user: "User") -> "User":
    """Lock and return the row of a user whose password was just checked.

    Raises CredentialsChangedError if the stored password has changed since, and
    InvalidCredentialsError if the user is gone or inactive.
    """
    locked = lock_user(user.pk)
    if locked is None or not locked.is_active:
        raise InvalidCredentialsError("gone meanwhile")
    if locked.password != user.password:
        raise CredentialsChangedError
    return locked
