"""The way back in: a mail with a link to a new password, for whoever reads the user's mail.

Whether an account exists shows nowhere: every request for a mail does the same work.
"""

from functools import partial
from typing import TYPE_CHECKING, Any, Final

from django.contrib.auth import get_user_model
from django.contrib.auth.password_validation import validate_password
from django.views.decorators.debug import sensitive_variables

from authx.audit.events import NOT_SENT, build_event, record_events
from authx.audit.links import read_recovery_token, recovery_tokens
from authx.errors import InvalidRecoveryTokenError, RateLimitError
from authx.models import EventKind, user_manager
from authx.passwords.limits import client_limits, recovery_bucket, reset_attempts
from authx.passwords.sign_in import set_password_and_revoke
from authx.sessions.locking import atomic, lock_user, retry_on_conflict
from authx.throttling.limits import consume
from authx.usernames import find_user_by_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# How many accounts of one address are mailed to.
MAX_ACCOUNTS: Final = 5


def request_recovery(name: str) -> None:
    """Send a mail to the account with this user name, or to those with this address.

    Returns the same after the same statements if there is none. Raises RateLimitError for a client
    network only: what an account has had too much of would show that it exists.
    """
    consume(*client_limits("recoveries"))
    # A name that nobody has is an event too: a missing write would be noticed. It is deleted where
    # its mail would be sent.
    addressees: list[User | None] = [*_addressees(name)] or [None]
    events = [_event_of(user, name) for user in addressees]
    with atomic():
        record_events(events)


def _addressees(name: str) -> "list[User]":
    """Return the active users with this name or address, by the same two queries for any name."""
    by_name = find_user_by_name(name)
    users = get_user_model()
    field = users.get_email_field_name()
    by_address: list[User] = []
    # A user model may have none.
    if field in {column.name for column in users._meta.fields}:
        by_address = [*user_manager().filter(**{f"{field}__iexact": name}).order_by("pk")]
    # Both, because anybody may choose the address of another person as a user name.
    found = {user.pk: user for user in [by_name, *by_address] if user and user.is_active}
    return [*found.values()][:MAX_ACCOUNTS]


def _event_of(user: "User | None", name: str) -> Any:
    user_id = user and user.pk
    event = build_event(EventKind.RECOVERY_REQUESTED, user_id=user_id)
    try:
        consume(recovery_bucket(user_id, name))
    except RateLimitError:
        # Of the same statements as any other; the mail is dropped where it would be sent.
        event.reason = NOT_SENT
    return event


@sensitive_variables()
def recover(*, raw_token: str, new_password: str) -> "User":
    """Set a password by the token of a mailed link, once; end every session, and the limits.

    Raises InvalidRecoveryTokenError, Django's ValidationError for a weak password, and
    OverloadedError.
    """
    claim = read_recovery_token(raw_token)
    if claim is None:
        raise InvalidRecoveryTokenError
    validate_password(new_password, claim.user)
    user = retry_on_conflict(partial(_set_password, claim.user.pk, claim.proof, new_password))
    # A thief's guesses must not keep the owner out with the new password.
    reset_attempts(user)
    return user


def _set_password(user_id: Any, proof: str, new_password: str) -> "User":
    with atomic():
        user = lock_user(user_id)
        # Of two requests with one link, the second one finds another password.
        if user is None or not user.is_active or not recovery_tokens.check_token(user, proof):
            raise InvalidRecoveryTokenError
        set_password_and_revoke(user, new_password)
        user.save(update_fields=["password"])
        return user
