"""What happens to a user, and so to the sessions of that user."""

from typing import Any

from django.contrib.auth import get_user_model
from django.db.models import Model

from authx.audit.events import record_event
from authx.models import EventKind, RevocationReason
from authx.sessions.revoke import revoke_all


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
