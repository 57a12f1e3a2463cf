"""Sign-ins by any door, Django's admin among them, recorded as Django itself tells of them."""

from typing import TYPE_CHECKING, Any

from django.contrib.auth import get_user_model

from authx.models import EventKind
from authx.sessions.passwords import is_off
from authx.trail.names import name_hash_of, person_named
from authx.trail.recording import record

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
    person = person_named(name)
    if person is None:
        record(kind=EventKind.SIGN_IN_FAILED, name_hash=name_hash_of(name), reason="unknown_name")
    else:
        record(kind=EventKind.SIGN_IN_FAILED, user_id=person.pk, reason=_why(person))


def _why(person: "User") -> str:
    if not person.is_active:
        return "inactive"
    return "password_off" if is_off(person) else "wrong_password"


def record_sign_in_elsewhere(
    sender: Any,  # noqa: ARG001 -- the signal's signature
    user: "User",
    device_session: Any = None,
    **_: Any,
) -> None:
    """Record a sign-in without a device session (user_logged_in); ours is recorded already."""
    if device_session is None:
        record(kind=EventKind.SIGNED_IN, user_id=user.pk, reason="without_device_session")
