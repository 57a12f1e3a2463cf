"""Lost races and locks: the order is always user before session."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar

from django.contrib.auth import get_user_model
from django.db import DatabaseError, connections, transaction

from authx import clock
from authx.errors import ConflictError, CredentialsChangedError, InvalidCredentialsError
from authx.models import write_alias

if TYPE_CHECKING:
    from django.contrib.auth.models import User

T = TypeVar("T")

# A conflict means that somebody else moved the row on, and a session has few ways to go.
ATTEMPTS: Final = 10
# Serialization failure and deadlock: nothing of the transaction was done, so it is done again.
RETRYABLE: Final = frozenset({"40001", "40P01"})


def retry_on_conflict(attempt: Callable[[], T]) -> T:
    """Return what `attempt` returns, tried again while another process is faster.

    Raises the ConflictError of the last attempt.
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
    thrown_out = getattr(error.__cause__, "sqlstate", None) in RETRYABLE
    # Of somebody else's transaction, more was undone than can be done again here.
    return thrown_out and not connections[write_alias()].in_atomic_block


@contextmanager
def atomic() -> Iterator[None]:
    """Open a transaction where sessions live, at READ COMMITTED whatever the project has set.

    At a stricter level, the snapshot of a transaction that waits for a lock is older than what the
    lock protects.
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

    Rolled back, it would take back a rotation whose pair the app holds, or the revocation of a
    stolen session.
    """
    blocks: list[Any] = connections[write_alias()].atomic_blocks
    # As Django's own atomic(durable=True) does, which would open a transaction for nothing.
    if blocks and not blocks[-1]._from_testcase:
        raise RuntimeError("A refresh cannot be part of another transaction.")


def lock_user(user_id: Any) -> "User | None":
    """Return a user's row as it is now, held until the transaction ends; see clock.read_at.

    NO KEY UPDATE: a plain FOR UPDATE would wait for the KEY SHARE lock that the insert of a session
    takes on its user, and deadlock against it.
    """
    users = get_user_model()._base_manager.using(write_alias())
    rows = users.select_for_update(no_key=True, of=("self",)).filter(pk=user_id)
    locked: User | None = rows.annotate(read_at=clock.database_now()).first()
    return locked


def lock_unchanged(user: "User") -> "User":
    """Return the row of a user whose password was just checked, held to the transaction's end.

    Raises CredentialsChangedError if the stored password is another by now, and
    InvalidCredentialsError if the user is gone or inactive.
    """
    locked = lock_user(user.pk)
    if locked is None or not locked.is_active:
        raise InvalidCredentialsError("gone meanwhile")
    if locked.password != user.password:
        raise CredentialsChangedError
    return locked
