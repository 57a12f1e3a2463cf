"""Password hashes that a sign-in upgrades: the password is the same, so sessions go on."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import Model

from authx.errors import CredentialsChangedError
from authx.models import auth_hashes
from authx.sessions.locking import atomic, lock_user
from authx.sessions.update import update_auth_hash

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@dataclass(frozen=True, slots=True)
class PasswordCheck:
    """A password check under way; what an upgrade has to undo or commit goes on `stack`."""

    # Says whether the password that was checked still matches the row as it is stored now.
    still_matches: Callable[["User"], bool]
    stack: ExitStack = field(default_factory=ExitStack)


_check: ContextVar[PasswordCheck | None] = ContextVar("authx_password_check", default=None)


@contextmanager
def hash_upgrades_followed(still_matches: Callable[["User"], bool]) -> Iterator[None]:
    """Keep sessions through a password check that upgrades the stored hash.

    The same password hashed anew changes the session auth hash; without this, a sign-in on one
    device would end the sessions of all others. Raises CredentialsChangedError if the stored
    password was changed since it was checked: the old one must not be written back over it.
    """
    check = PasswordCheck(still_matches)
    with check.stack:
        marker = _check.set(check)
        check.stack.callback(_check.reset, marker)
        yield


def follow_hash_upgrade(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    """Move sessions to the new hash of an unchanged password (pre_save)."""
    check = _check.get()
    if check is None or "password" not in (update_fields or ()):
        return
    # set_password() leaves the new password there; only an upgrade takes it away again.
    if not isinstance(instance, get_user_model()) or getattr(instance, "_password", None):
        return
    # One transaction with the save that follows, begun only now: hashing takes long.
    check.stack.enter_context(atomic())
    # Locked, so that of two sign-ins that upgrade at once the second sees what the first stored.
    stored = lock_user(instance.pk)
    if stored is None:
        return
    if not check.still_matches(stored):
        raise CredentialsChangedError
    update_auth_hash(
        user_id=instance.pk, old=auth_hashes(stored), new=instance.get_session_auth_hash()
    )
