"""Password hashes that a sign-in upgrades: the password is the same, so sessions go on."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth import get_user_model
from django.db import transaction
from django.db.models import Model

from authx.models import DeviceSession, auth_hashes
from authx.sessions.revocation import lock_person

# Set while a password is checked; what an upgrade has to do before the check is over goes on it.
_check: ContextVar[ExitStack | None] = ContextVar("authx_password_check", default=None)


@contextmanager
def hash_upgrades_followed() -> Iterator[None]:
    """Keep sessions through a password check that upgrades the stored hash.

    The same password hashed anew changes the session auth hash; without this, a sign-in on one
    device would end the sessions of all others.
    """
    with ExitStack() as stack:
        marker = _check.set(stack)
        stack.callback(_check.reset, marker)
        yield


def follow_hash_upgrade(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    """Move sessions to the new hash of an unchanged password (pre_save)."""
    stack = _check.get()
    if stack is None or "password" not in (update_fields or ()):
        return
    # set_password() leaves the new password there; only an upgrade takes it away again.
    if not isinstance(instance, get_user_model()) or getattr(instance, "_password", None):
        return
    # One transaction with the save that follows, begun only now: hashing takes long.
    stack.enter_context(transaction.atomic())
    # Locked, so that of two sign-ins that upgrade at once the second sees what the first stored.
    stored = lock_person(instance.pk)
    if stored is not None:
        DeviceSession.objects.unrevoked().filter(
            user_id=instance.pk, auth_hash__in=auth_hashes(stored)
        ).update(auth_hash=instance.get_session_auth_hash())
