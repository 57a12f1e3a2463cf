"""Passwords at the door: sign-in and password change."""

from functools import partial

from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.hashers import check_password as verify_password
from django.contrib.auth.password_validation import validate_password
from django.contrib.auth.signals import user_logged_in, user_login_failed
from django.http import HttpRequest
from django.views.decorators.debug import sensitive_variables

from authx import clock
from authx.audit.events import on_behalf_of, record_event
from authx.context import RequestContext
from authx.errors import InvalidCredentialsError, WrongPasswordError
from authx.models import DeviceSession, EventKind, RevocationReason, write_alias
from authx.passwords.check import check_password
from authx.passwords.hash_upgrades import hash_upgrades_followed
from authx.sessions.locking import atomic, lock_unchanged, retry_on_conflict
from authx.sessions.open import insert_session, open_session
from authx.sessions.revoke import revoke_locked
from authx.sessions.values import Device, TokenPair


@sensitive_variables()
def sign_in(
    *, request: HttpRequest, username: str, password: str, device: Device, source: RequestContext
) -> TokenPair:
    """Check credentials and return the first pair of a new session.

    Raises InvalidCredentialsError, the same for unknown, wrong and inactive.
    """
    # Again if the password changed between its check and the opening. Where a sign-in beside this
    # one merely upgraded the hash, the next check succeeds.
    try:
        pair = retry_on_conflict(lambda: _sign_in(request, username, password, device, source))
    except InvalidCredentialsError as error:
        # Without a reason it was Django that refused, and Django has told it already.
        if error.reason:
            _tell_failure(request, username)
        raise
    user = pair.session.user
    user_logged_in.send_robust(
        sender=user.__class__, request=request, user=user, device_session=pair.session
    )
    return pair


def _sign_in(
    request: HttpRequest, username: str, password: str, device: Device, source: RequestContext
) -> TokenPair:
    """Check and open; raises CredentialsChangedError if the password changed in between."""
    # Of a backend of the project, which hash it has checked is not known: check once more.
    with hash_upgrades_followed(lambda stored: verify_password(password, stored.password)):
        user = authenticate(request, username=username, password=password)
    if user is None:
        raise InvalidCredentialsError
    if not user.is_active:
        raise InvalidCredentialsError("inactive")
    return open_session(user=user, device=device, source=source)


def _tell_failure(request: HttpRequest, username: str) -> None:
    """Tell Django's listeners, ours among them, of a refusal after Django had let somebody in."""
    named = {get_user_model().USERNAME_FIELD: username}
    user_login_failed.send_robust(sender=__name__, credentials=named, request=request)


@sensitive_variables()
def change_password(
    *, session: DeviceSession, current_password: str, new_password: str, source: RequestContext
) -> TokenPair:
    """Set a password, end every session of the user, and open one anew on this device.

    Raises WrongPasswordError, or Django's ValidationError for a password too weak.
    """
    attempt = partial(_change_password, session, current_password, new_password, source)
    try:
        return retry_on_conflict(attempt)
    except WrongPasswordError:
        record_event(kind=EventKind.PASSWORD_CHANGE_FAILED, session=session)
        raise


def _change_password(
    session: DeviceSession, current_password: str, new_password: str, source: RequestContext
) -> TokenPair:
    """Check and change; raises CredentialsChangedError if the password changed in between."""
    users = get_user_model()._base_manager.using(write_alias())
    user = users.filter(pk=session.user_id).first()
    # The same password as at sign-in, so the same count: a stolen access token guesses no further.
    if user is None or not check_password(user, current_password):
        raise WrongPasswordError
    validate_password(new_password, user)
    with atomic():
        user = lock_unchanged(user)
        user.set_password(new_password)
        own_sessions = DeviceSession.objects.filter(user=user)
        revoke_locked(own_sessions, user_id=user.pk, reason=RevocationReason.PASSWORD_CHANGED)
        device = Device(
            session.installation_id, session.name, session.platform, session.app_version
        )
        # The password was just shown: a new lineage and a new clock (NIST SP 800-63B section 5.2).
        pair = insert_session(user=user, device=device, source=source, now=clock.read_at(user))
        with on_behalf_of(pair.session):
            user.save(update_fields=["password"])
        return pair
