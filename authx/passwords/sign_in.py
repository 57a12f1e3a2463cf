"""Sign-in by password, and password change."""

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING

from django.contrib.auth import authenticate, get_backends, get_user_model
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx import clock
from authx.audit.events import record_event
from authx.errors import InvalidCredentialsError, WrongPasswordError
from authx.models import DeviceSession, EventKind, all_users
from authx.passwords.backends import ModelBackend
from authx.passwords.bulkhead import place_for_hashing
from authx.passwords.check import check_password, upgrade_outdated_hash
from authx.passwords.limits import (
    current_password_limits,
    password_attempt,
    sign_in_attempt,
)
from authx.policy import require_may_sign_in
from authx.sessions.lifetimes import lifetimes_of
from authx.sessions.locking import atomic, lock_unchanged, retry_on_conflict
from authx.sessions.open import (
    Opened,
    insert_browser_session,
    insert_session,
    open_session,
    session_of,
)
from authx.sessions.revoke import revoke_locked
from authx.sessions.update import note_authentication
from authx.sessions.values import Device, TokenPair
from authx.usernames import find_user_by_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User


@sensitive_variables()
def sign_in(
    *, request: HttpRequest | None, username: str, password: str, device: Device
) -> TokenPair:
    """Check credentials and return the first pair of a new session.

    Raises InvalidCredentialsError, the same for an unknown user, a wrong password and an inactive
    account, RateLimitError, OverloadedError, and what SIGN_IN_POLICY raises.
    """
    try:
        with sign_in_attempt(username, device.credential) as attempt:
            # Again if the password changed between its check and the opening of the session. If a
            # parallel sign-in merely upgraded the hash, the next check succeeds.
            pair = retry_on_conflict(lambda: _sign_in(request, username, password, device))
            attempt.succeed()
    except InvalidCredentialsError as error:
        # Without a reason it was Django that refused, and Django has sent the signal.
        if error.reason:
            _send_login_failed(request, username)
        raise
    user = pair.session.user
    user_logged_in.send_robust(
        sender=user.__class__, request=request, user=user, device_session=pair.session
    )
    return pair


def _sign_in(
    request: HttpRequest | None, username: str, password: str, device: Device
) -> TokenPair:
    """Check and open; raises ConflictError if the password changed in between."""
    # The backend of authx upgrades a hash safely by itself, if it is asked first.
    if not isinstance(get_backends()[0], ModelBackend):
        _upgrade_hash(username, password)
    user = authenticate(request, username=username, password=password)
    if user is None:
        raise InvalidCredentialsError
    if not user.is_active:
        raise InvalidCredentialsError("inactive")
    require_may_sign_in(user, request)
    return open_session(user=user, device=device)


def _upgrade_hash(username: str, password: str) -> None:
    """Upgrade an outdated hash before a backend of the project does.

    A backend that saves the user would end the user's sessions, and could write the old password
    back over one that was changed meanwhile.
    """
    user = find_user_by_name(username)
    if user is not None:
        upgrade_outdated_hash(user, password)


def _send_login_failed(request: HttpRequest | None, username: str) -> None:
    """Send Django's signal for a refusal after the backend had accepted the credentials."""
    named = {get_user_model().USERNAME_FIELD: username}
    user_login_failed.send_robust(sender=__name__, credentials=named, request=request)


@sensitive_variables()
def change_password(
    *, session: DeviceSession, current_password: str, new_password: str
) -> TokenPair:
    """Set a password, revoke every session of the user, and open a new one on this device.

    Raises WrongPasswordError, RateLimitError, or Django's ValidationError for a weak password.
    """
    change = partial(_change_password, _inserter_of_pairs, session, current_password, new_password)
    return _limited_change(session, change)


@sensitive_variables()
def change_password_in_browser(
    *, session: DeviceSession, current_password: str, new_password: str
) -> DeviceSession:
    """Do the same for a browser; its cookie has to refer to the session that this returns."""
    passwords = (current_password, new_password)
    change = partial(_change_password, _inserter_of_browsers, session, *passwords)
    return _limited_change(session, change)


@sensitive_variables()
def reauthenticate(*, session: DeviceSession, current_password: str) -> None:
    """Check the password again; then the session counts as just signed in (RFC 9470).

    Raises WrongPasswordError and RateLimitError.
    """
    with password_attempt(*current_password_limits(session)) as attempt:
        if not check_password(session.user, current_password):
            record_event(kind=EventKind.REAUTHENTICATION_FAILED, session=session)
            raise WrongPasswordError
        attempt.succeed()
    note_authentication(session=session)


def _inserter_of_pairs(user: "User", device: Device) -> Callable[..., TokenPair]:
    return partial(insert_session, lifetimes=lifetimes_of(user, device))


def _inserter_of_browsers(_user: "User", _device: Device) -> Callable[..., DeviceSession]:
    return insert_browser_session


def _limited_change(session: DeviceSession, change: Callable[[], Opened]) -> Opened:
    with password_attempt(*current_password_limits(session)) as attempt:
        try:
            opened = retry_on_conflict(change)
        except WrongPasswordError:
            record_event(kind=EventKind.PASSWORD_CHANGE_FAILED, session=session)
            raise
        except ValidationError:
            # The current password was right: whoever looks for a new one may go on.
            attempt.succeed()
            raise
        attempt.succeed()
    return opened


def _change_password(
    inserter: Callable[["User", Device], Callable[..., Opened]],
    session: DeviceSession,
    current_password: str,
    new_password: str,
) -> Opened:
    """Check and change; raises CredentialsChangedError if the password changed in between."""
    user = all_users().filter(pk=session.user_id).first()
    # The same check and count as at sign-in: a stolen access token gives no further guesses.
    if user is None or not check_password(user, current_password):
        raise WrongPasswordError
    validate_password(new_password, user)
    # The device goes on, with what the project keeps for it.
    device = Device(
        session.installation_id, session.name, session.platform, session.app_version, session.data
    )
    # Before the lock: a function of the project, which may take long, tells the lifetimes.
    insert = inserter(user, device)
    with atomic():
        user = lock_unchanged(user)
        set_password_and_revoke(user, new_password)
        # The password was just entered: a new session with new lifetimes (NIST SP 800-63B-4
        # section 5.2).
        opened = insert(
            user=user, device=device, device_id=session.device_id, now=clock.read_at(user)
        )
        # For the receiver that records the change (receivers.record_changed_password).
        vars(user)["changed_by_session"] = session_of(opened)
        user.save(update_fields=["password"])
        return opened


@sensitive_variables()
def set_password_and_revoke(user: "User", new_password: str) -> None:
    """Set a password of a user whose row the caller has locked, and end every session.

    The caller saves the user. Raises OverloadedError as a check does.
    """
    with place_for_hashing():
        user.set_password(new_password)
    if getattr(user, "_password", None) is None:
        # A project's own set_password() may not leave it for the receivers of the save.
        vars(user)["_password"] = new_password
    own_sessions = DeviceSession.objects.filter(user=user)
    revoke_locked(own_sessions, user_id=user.pk, reason=EventKind.PASSWORD_CHANGED)
