"""Receivers of Django's signals: what happens to users, and sign-ins that Django reports."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model
from django.db.models import Model

from authx.audit.events import record_event
from authx.models import EventKind, RevocationReason
from authx.passwords.check import is_password_locked
from authx.sessions.revoke import revoke_all
from authx.usernames import find_user_by_name, username_hash

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def record_failed_sign_in(
    sender: Any,  # noqa: ARG001 -- the signal's signature
    credentials: dict[str, Any],
    **_: Any,
) -> None:
    """Record a failure (user_login_failed), of a name that nobody has as a keyed hash only."""
    name = credentials.get("username", credentials.get(get_user_model().USERNAME_FIELD))
    if name is None:
        return
    user = find_user_by_name(name)
    if user is None:
        record_event(
            kind=EventKind.SIGN_IN_FAILED, name_hash=username_hash(name), reason="unknown_name"
        )
    else:
        record_event(kind=EventKind.SIGN_IN_FAILED, user_id=user.pk, reason=_why(user))


def _why(user: "User") -> str:
    if not user.is_active:
        return "inactive"
    return "password_locked" if is_password_locked(user) else "wrong_password"


def record_sign_in_elsewhere(
    sender: Any,  # noqa: ARG001 -- the signal's signature
    user: "User",
    device_session: Any = None,
    **_: Any,
) -> None:
    """Record a sign-in without a device session (user_logged_in); ours is recorded already."""
    if device_session is None:
        record_event(kind=EventKind.SIGNED_IN, user_id=user.pk, reason="without_device_session")


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
        record_event(kind=EventKind.PASSWORD_CHANGED, user_id=instance.pk)
