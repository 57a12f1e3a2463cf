"""Receivers of Django's signals about users: sign-ins, saves and deletions."""

from functools import partial
from typing import TYPE_CHECKING, Any

from django.apps import apps
from django.contrib.auth import SESSION_KEY, get_user_model
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.db import connections, transaction
from django.db.models import Model
from django.db.models.signals import class_prepared, post_save, pre_delete, pre_migrate

from authx.audit.erasure import detach_events
from authx.audit.events import record_event
from authx.audit.nobody import event_of_nobody
from authx.devices import mint_credential
from authx.models import DeviceSession, EventKind, SecurityEvent, write_alias
from authx.passwords.admission import note_admitted
from authx.passwords.check import is_password_locked
from authx.passwords.limits import account_buckets, recovery_bucket
from authx.sessions.browsers import sign_browser_in
from authx.sessions.cookies import (
    DEVICE_COOKIE,
    DEVICE_SESSION_KEY,
    NEW_DEVICE_COOKIE,
    OPENED_BROWSER,
    SessionStore,
)
from authx.sessions.revoke import revoke_all
from authx.throttling.limits import clear
from authx.usernames import find_user_by_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User


# Databases in which `migrate` is at work: the tables of authx may be missing there.
_migrating: set[str] = set()


def connect() -> None:
    """Connect every receiver; those of saves and deletions to the user model and its subclasses.

    Django names the class of the saved instance as the sender: a proxy model sends for itself.
    """
    user_login_failed.connect(record_failed_sign_in, dispatch_uid="authx")
    user_logged_in.connect(open_browser_session, dispatch_uid="authx")
    pre_migrate.connect(note_migration, dispatch_uid="authx")
    for model in apps.get_models():
        connect_model(model)
    # A proxy is often defined beside its admin, which Django may load later.
    class_prepared.connect(connect_model, dispatch_uid="authx")


def connect_model(sender: Any, **_: Any) -> None:
    """Connect the receivers of saves and deletions, if a model is one of users."""
    users = get_user_model()
    parents = {users._meta.concrete_model, *users._meta.get_parent_list()}
    # A user can also be saved as an instance of the parent model that has the password.
    if issubclass(sender, users) or (
        sender._meta.concrete_model in parents and issubclass(sender, AbstractBaseUser)
    ):
        post_save.connect(revoke_on_deactivation, sender=sender, dispatch_uid="authx_inactive")
        post_save.connect(record_changed_password, sender=sender, dispatch_uid="authx_password")
        post_save.connect(detach_events_on_creation, sender=sender, dispatch_uid="authx_created")
        pre_delete.connect(revoke_on_deletion, sender=sender, dispatch_uid="authx")


def note_migration(using: str, **_: Any) -> None:
    """Note that tables may be missing from now on (pre_migrate)."""
    _migrating.add(using)


def _has_tables(using: str) -> bool:
    """Return whether the tables of authx are there; asks the database only beside a migration."""
    if using in _migrating:
        tables = set(connections[using].introspection.table_names())
        if not {model._meta.db_table for model in (DeviceSession, SecurityEvent)} <= tables:
            return False
        _migrating.discard(using)
    return True


def record_failed_sign_in(credentials: dict[str, Any], **_: Any) -> None:
    """Record a failed sign-in (user_login_failed); with an unknown user name, it is only logged."""
    name = credentials.get("username", credentials.get(get_user_model().USERNAME_FIELD))
    if name is None:
        return
    user = find_user_by_name(name)
    if user is None:
        # As many statements and commits as of a known name, whose failure is counted too.
        with event_of_nobody(EventKind.SIGN_IN_FAILED, "unknown_name"):
            is_password_locked(get_user_model()())
    else:
        record_event(kind=EventKind.SIGN_IN_FAILED, user_id=user.pk, reason=_failure_reason(user))


def _failure_reason(user: "User") -> str:
    # Asked of every account, so that an inactive one takes as long.
    is_locked = is_password_locked(user)
    if not user.is_active:
        return "inactive"
    return "password_locked" if is_locked else "wrong_password"


def open_browser_session(
    user: "User", request: Any = None, device_session: Any = None, **_: Any
) -> None:
    """Open a device session for a sign-in by cookie (user_logged_in), such as one to the admin.

    Django's session refers to it. Without a session of ours, the sign-in is only recorded.
    """
    note_admitted(user)
    if device_session is not None:
        return
    cookie = getattr(request, "session", None)
    # Views of other packages send the signal without login(), such as those of Knox.
    if isinstance(cookie, SessionStore) and SESSION_KEY in cookie:
        opened = sign_browser_in(
            user=user,
            raw_credential=request.COOKIES.get(DEVICE_COOKIE, ""),
            replaced=cookie.get(DEVICE_SESSION_KEY),
        )
        cookie[DEVICE_SESSION_KEY] = str(opened.pk)
        vars(request)[OPENED_BROWSER] = opened
        # RequestContextMiddleware sends it.
        vars(request)[NEW_DEVICE_COOKIE] = mint_credential(user, opened.device_id)
    else:
        record_event(kind=EventKind.SIGNED_IN, user_id=user.pk, reason="without_device_session")


def _user_id(instance: Any, using: str) -> Any:
    """Return the id of a saved user; None if its sessions are not in this database.

    A migration or a receiver of one may save a user before the tables of authx exist. A subclass
    may have a primary key of its own.
    """
    if using != write_alias() or not _has_tables(using):
        return None
    key = get_user_model()._meta.pk
    return getattr(instance, key.attname) if isinstance(instance, key.model) else instance.pk


def revoke_on_deactivation(
    instance: Any, *, created: bool, using: str, raw: bool = False, **_: Any
) -> None:
    """Revoke the sessions of an inactive user (post_save); reactivation does not restore them.

    Whatever was saved: `is_active` may be a property of other fields. A fixture is loaded as it is:
    its other rows may still be missing, and the sessions of an inactive user are refused anyway.
    """
    if created or raw or instance.is_active:
        return
    user_id = _user_id(instance, using)
    if user_id is not None:
        revoke_all(user_id=user_id, reason=EventKind.DEACTIVATED)


def revoke_on_deletion(instance: Model, using: str, **_: Any) -> None:
    """Revoke the sessions of a user before the deletion (pre_delete).

    A refresh in flight then finds its session revoked, and adds no row.
    """
    user_id = _user_id(instance, using)
    if user_id is not None:
        revoke_all(user_id=user_id, reason=EventKind.DELETED)
        # Before the events are detached, which know devices whose sessions are swept.
        buckets = account_buckets(user_id)
        detach_events(user_id=user_id)
        for bucket in buckets:
            transaction.on_commit(partial(clear, bucket), using=using)


def detach_events_on_creation(
    instance: Model, *, created: bool, using: str, raw: bool = False, **_: Any
) -> None:
    """Keep a new user from inheriting events by its primary key (post_save).

    The user before may have been deleted without a signal, or a request may have written its last
    event after the deletion.
    """
    if not created or raw:
        return
    user_id = _user_id(instance, using)
    if user_id is not None:
        detach_events(user_id=user_id)


def record_changed_password(
    instance: Model, *, created: bool, using: str, raw: bool = False, **_: Any
) -> None:
    """Record that a password was set, in whatever way (post_save).

    set_password() leaves it in `_password` until after the save; an upgrade of its hash does not.
    """
    if created or raw or getattr(instance, "_password", None) is None:
        return
    user_id = _user_id(instance, using)
    if user_id is not None:
        session = vars(instance).pop("changed_by_session", None)
        record_event(kind=EventKind.PASSWORD_CHANGED, user_id=user_id, session=session)
        # The links that were mailed before have ended with the password.
        transaction.on_commit(partial(clear, recovery_bucket(user_id)), using=using)
