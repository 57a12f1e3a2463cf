"""Receivers of Django's signals about users: sign-ins, saves and deletions."""

from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import get_user_model
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db.models import Model
from django.db.models.signals import post_save, pre_delete

from authx.audit.events import record_event
from authx.models import EventKind
from authx.passwords.check import is_password_locked
from authx.sessions.revoke import revoke_all
from authx.usernames import find_user_by_name, username_hash

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def connect() -> None:
    """Connect every receiver; those of saves and deletions to the user model and its subclasses.

    Django names the class of the saved instance as the sender: a proxy model sends for itself.
    Models that are defined later are not connected.
    """
    user_login_failed.connect(record_failed_sign_in, dispatch_uid="authx")
    user_logged_in.connect(record_other_sign_in, dispatch_uid="authx")
    for model in apps.get_models():
        if issubclass(model, get_user_model()):
            post_save.connect(revoke_on_deactivation, sender=model, dispatch_uid="authx_inactive")
            post_save.connect(record_changed_password, sender=model, dispatch_uid="authx_password")
            pre_delete.connect(revoke_on_deletion, sender=model, dispatch_uid="authx")


def record_failed_sign_in(credentials: dict[str, Any], **_: Any) -> None:
    """Record a failed sign-in (user_login_failed); an unknown user name only as a keyed hash."""
    name = credentials.get("username", credentials.get(get_user_model().USERNAME_FIELD))
    if name is None:
        return
    user = find_user_by_name(name)
    if user is None:
        record_event(
            kind=EventKind.SIGN_IN_FAILED, name_hash=username_hash(name), reason="unknown_name"
        )
    else:
        record_event(kind=EventKind.SIGN_IN_FAILED, user_id=user.pk, reason=_failure_reason(user))


def _failure_reason(user: "User") -> str:
    if not user.is_active:
        return "inactive"
    return "password_locked" if is_password_locked(user) else "wrong_password"


def record_other_sign_in(user: "User", device_session: Any = None, **_: Any) -> None:
    """Record a sign-in without a device session (user_logged_in), such as one to the admin.

    `open_session` records those with one.
    """
    if device_session is None:
        record_event(kind=EventKind.SIGNED_IN, user_id=user.pk, reason="without_device_session")


def revoke_on_deactivation(instance: Any, **_: Any) -> None:
    """Revoke the sessions of an inactive user (post_save); reactivation does not restore them.

    Whatever was saved: `is_active` may be a property of other fields.
    """
    if not instance.is_active:
        revoke_all(user_id=instance.pk, reason=EventKind.DEACTIVATED)


def revoke_on_deletion(instance: Model, **_: Any) -> None:
    """Revoke the sessions of a user before the deletion (pre_delete).

    A refresh in flight then finds its session revoked, and adds no row.
    """
    revoke_all(user_id=instance.pk, reason=EventKind.DELETED)


def record_changed_password(instance: Model, *, created: bool, **_: Any) -> None:
    """Record that a password was set, in whatever way (post_save).

    set_password() leaves it in `_password` until after the save; an upgrade of its hash does not.
    """
    is_set = getattr(instance, "_password", None) is not None
    if is_set and not created:
        session = vars(instance).pop("changed_by_session", None)
        record_event(kind=EventKind.PASSWORD_CHANGED, user_id=instance.pk, session=session)
