"""Passwords at the door: sign-in, password change, and password hashes that are upgraded."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.signals import user_logged_in
from django.db import transaction
from django.db.models import Model
from django.http import HttpRequest
from django.utils import timezone

from authx.errors import CredentialsChangedError, InvalidCredentialsError, WrongPasswordError
from authx.models import DeviceSession, RevocationReason, auth_hashes
from authx.sessions.contention import until_settled
from authx.sessions.opening import insert_session, lock_user, open_session
from authx.sessions.revocation import revoke_all
from authx.sessions.values import Device, Source, TokenPair

_checking_password: ContextVar[bool] = ContextVar("authx_checking_password", default=False)


@contextmanager
def hash_upgrades_followed() -> Iterator[None]:
    """Keep sessions through a password check that upgrades the stored hash.

    The same password hashed anew changes the session auth hash; without this, a sign-in on one
    device would end the sessions of all others.
    """
    marker = _checking_password.set(True)
    try:
        with transaction.atomic():
            yield
    finally:
        _checking_password.reset(marker)


def follow_hash_upgrade(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    """Move sessions to the new hash of an unchanged password (pre_save of the user model)."""
    users = get_user_model()
    if not _checking_password.get() or update_fields != frozenset({"password"}):
        return
    if not isinstance(instance, users):
        return
    # Locked, so that of two sign-ins that upgrade at once the second sees what the first stored.
    stored = users._default_manager.select_for_update(no_key=True, of=("self",)).get(pk=instance.pk)
    DeviceSession.objects.unrevoked().filter(
        user_id=instance.pk, auth_hash__in=auth_hashes(stored)
    ).update(auth_hash=instance.get_session_auth_hash())


def sign_in(
    *, request: HttpRequest, username: str, password: str, device: Device, source: Source
) -> TokenPair:
    """Check credentials and return the first pair of a new session.

    Raises InvalidCredentialsError, the same for unknown, wrong and inactive.
    """
    # Again if the password changed between its check and the opening. Where a sign-in beside this
    # one merely upgraded the hash, the next check succeeds.
    pair = until_settled(lambda: _sign_in(request, username, password, device, source))
    user = pair.session.user
    user_logged_in.send_robust(sender=user.__class__, request=request, user=user)
    return pair


def _sign_in(
    request: HttpRequest, username: str, password: str, device: Device, source: Source
) -> TokenPair | None:
    with hash_upgrades_followed():
        user = authenticate(request, username=username, password=password)
    if user is None or not user.is_active:
        raise InvalidCredentialsError
    try:
        return open_session(user=user, device=device, source=source)
    except CredentialsChangedError:
        return None


def change_password(
    *, session: DeviceSession, current_password: str, new_password: str, source: Source
) -> TokenPair:
    """Set a password, end every session of the person, and open one anew on this device.

    Raises WrongPasswordError, or Django's ValidationError for a password too weak.
    """
    user = session.user
    with hash_upgrades_followed():
        known = user.check_password(current_password)
    if not known:
        raise WrongPasswordError
    validate_password(new_password, user)
    with transaction.atomic():
        try:
            user = lock_user(user)
        except CredentialsChangedError as error:
            raise WrongPasswordError("changed meanwhile") from error
        user.set_password(new_password)
        user.save(update_fields=["password"])
        revoke_all(user_id=user.pk, reason=RevocationReason.PASSWORD_CHANGED)
        now = timezone.now()
        device = Device(
            session.installation_id, session.name, session.platform, session.app_version
        )
        # The password was just shown: a new lineage and a new clock (NIST SP 800-63B section 5.2).
        return insert_session(user=user, device=device, source=source, now=now)


def end_sessions_of_inactive(
    sender: type[Model],  # noqa: ARG001 -- the signal's signature
    instance: Model,
    update_fields: frozenset[str] | None = None,
    **_: Any,
) -> None:
    """Revoke on deactivation (post_save of the user model), so that reactivation revives none."""
    saved = update_fields is None or "is_active" in update_fields
    if saved and isinstance(instance, get_user_model()) and not instance.is_active:
        revoke_all(user_id=instance.pk, reason=RevocationReason.DEACTIVATED)
