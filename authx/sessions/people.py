"""The person behind sessions: locked before their sessions, and followed to the end."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import Model

from authx.errors import CredentialsChangedError, InvalidCredentialsError
from authx.models import EventKind, RevocationReason
from authx.sessions.revocation import lock_person, revoke_all
from authx.trail.recording import record

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def lock_unchanged(user: "User") -> "User":
    """Return the row of a person whose password was just checked, held to the transaction's end.

    Raises CredentialsChangedError if the stored password is another by now, and
    InvalidCredentialsError if the person is gone or inactive.
    """
    locked = lock_person(user.pk)
    if locked is None or not locked.is_active:
        raise InvalidCredentialsError("gone meanwhile")
    if locked.password != user.password:
        raise CredentialsChangedError
    return locked


def end_sessions_of_inactive(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    **_: Any,
) -> None:
    """Revoke on deactivation (post_save), so that reactivation revives nothing.

    Whatever was saved: `is_active` may be a property of other fields.
    """
    if isinstance(instance, get_user_model()) and not instance.is_active:
        revoke_all(user_id=instance.pk, reason=RevocationReason.DEACTIVATED)


def end_sessions_of_deleted(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    **_: Any,
) -> None:
    """Revoke before a deletion (pre_delete), so that no refresh adds a row beside it."""
    revoke_all(user_id=instance.pk, reason=RevocationReason.DELETED)


def record_changed_password(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    created: bool,  # noqa: FBT001 -- the same
    **_: Any,
) -> None:
    """Record that a password was set, wherever that was done (post_save).

    set_password() leaves it on the instance until after the save; an upgrade of its hash does not.
    """
    is_set = getattr(instance, "_password", None) is not None
    if is_set and not created and isinstance(instance, get_user_model()):
        record(kind=EventKind.PASSWORD_CHANGED, user_id=instance.pk)
