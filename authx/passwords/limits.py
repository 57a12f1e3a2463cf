"""Limits of password attempts: by account and client network, and separately by known device."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar

from django.contrib.auth import get_user_model
from django.db import DatabaseError
from django.db.models import Subquery

from authx import conf
from authx.audit.events import record_event
from authx.devices import is_known_device
from authx.errors import RateLimitError
from authx.models import DeviceSession, EventKind
from authx.throttling.limits import Limit, clear, client_network, consume
from authx.usernames import find_user_by_name, normalize_username, username_hash

# Set while a counted attempt is under way.
_is_counted: ContextVar[bool] = ContextVar("authx_password_attempt", default=False)


class Attempt:
    """A counted attempt; `succeed` clears the bucket of the account or of the known device."""

    def __init__(self, bucket: Limit | None) -> None:
        self._bucket = bucket

    def succeed(self) -> None:
        # The count of the network stays: otherwise one account of one's own would be enough to
        # spray passwords over all others.
        if self._bucket is not None:
            clear(self._bucket)


@contextmanager
def password_attempt(*limits: Limit) -> Iterator[Attempt]:
    """Count an attempt before the password is checked; raises RateLimitError.

    The first limit is the bucket that a success clears. Within another attempt this counts nothing:
    a view that knows more than the password backend, such as the device, counts for both. Call it
    from synchronous code: an exceeded limit is written to the database.
    """
    if _is_counted.get():
        yield Attempt(None)
        return
    try:
        consume(*limits)
    except RateLimitError as error:
        for limit in error.exceeded:
            # A database that is unavailable does not lift the limit; it is reported elsewhere.
            with suppress(DatabaseError):
                _record(limit)
        raise
    marker = _is_counted.set(True)
    try:
        yield Attempt(limits[0])
    finally:
        _is_counted.reset(marker)


def sign_in_limits(username: str, installation_id: str = "") -> tuple[Limit, ...]:
    """Return the limits of a sign-in, its bucket first.

    A device that the account knows has a bucket of its own, so that guesses from elsewhere, even
    from behind the same address, do not lock its owner out. Made-up installation ids gain nothing:
    an unknown device uses the bucket of the account.
    """
    # A name that does not exist costs the same query.
    users = get_user_model()._default_manager
    named = users.filter(**{get_user_model().USERNAME_FIELD: username}).values("pk")[:1]
    if is_known_device(user_id=Subquery(named), installation_id=installation_id):
        return (device_bucket(username, installation_id),)
    rates = conf.authx_setting("SIGN_IN_RATES_PER_IP")
    return (
        account_bucket(username),
        Limit("sign-ins from a network", client_network(), rates),
    )


def current_password_limits(session: DeviceSession) -> tuple[Limit, ...]:
    """Return the limits of entering the current password while signed in."""
    device = session.installation_id or str(session.pk)
    return (device_bucket(session.user.get_username(), device),)


def reset_attempts(username: str) -> None:
    """Clear the count of an account's attempts from unknown devices."""
    clear(account_bucket(username))


def account_bucket(username: str) -> Limit:
    rates = conf.authx_setting("SIGN_IN_RATES")
    return Limit("sign-ins to an account", normalize_username(username), rates, username)


def device_bucket(username: str, device: str) -> Limit:
    subject = f"{normalize_username(username)}\0{device}"
    return Limit(
        "sign-ins on a known device", subject, conf.authx_setting("SIGN_IN_RATES"), username
    )


def _record(limit: Limit) -> None:
    if limit.username is None:
        record_event(kind=EventKind.RATE_LIMITED, reason=limit.kind)
        return
    user = find_user_by_name(limit.username)
    name_hash = "" if user else username_hash(limit.username)
    user_id = user and user.pk
    record_event(
        kind=EventKind.SIGN_IN_LIMITED, user_id=user_id, reason=limit.kind, name_hash=name_hash
    )
