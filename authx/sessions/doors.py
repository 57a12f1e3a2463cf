"""Sign-ins by any door, Django's admin among them, recorded as Django itself tells of them."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model

from authx.audit.events import record_event
from authx.models import EventKind
from authx.passwords.check import is_password_locked
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
