"""Attempts at a password: limited for an account, for a source, and apart for a known device."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth import get_user_model
from django.db.models import Subquery

from authx import conf
from authx.devices import is_known_device
from authx.models import DeviceSession
from authx.throttling.limits import Limit, clear, client_network, consume
from authx.usernames import normalize_username

# Set while an attempt is under way that a door of ours has counted.
_counted: ContextVar[bool] = ContextVar("authx_attempt_counted", default=False)


class Attempt:
    """An attempt that was counted; `succeed` forgets those that went before it in its bucket."""

    def __init__(self, bucket: Limit | None) -> None:
        self._lane = bucket

    def succeed(self) -> None:
        # The source's count stays: whoever owns one account could spray all others otherwise.
        if self._lane is not None:
            clear(self._lane)


@contextmanager
def password_attempt(*limits: Limit) -> Iterator[Attempt]:
    """Count an attempt before the password is looked at; raises DRF's Throttled.

    Within another one it counts nothing: a door that knows more than the password backend, such as
    the device, counts for both.
    """
    if _counted.get():
        yield Attempt(None)
        return
    consume(*limits)
    marker = _counted.set(True)
    try:
        yield Attempt(limits[0])
    finally:
        _counted.reset(marker)


def sign_in_limits(username: str, installation_id: str = "") -> tuple[Limit, ...]:
    """Return what a sign-in counts against, its bucket first.

    A device that the account knows has a bucket of its own, beside that of everybody else, so that
    nobody who guesses can keep its owner out, not from behind the same address either. Inventing
    installations opens no bucket: an unknown one shares the account's.
    """
    # The same query for a name that nobody has.
    users = get_user_model()._default_manager
    named = users.filter(**{get_user_model().USERNAME_FIELD: username}).values("pk")[:1]
    if is_known_device(user_id=Subquery(named), installation_id=installation_id):
        return (device_bucket(username, installation_id),)
    return (
        account_bucket(username),
        Limit("sign-in of a source", client_network(), conf.own("SIGN_IN_RATES_PER_IP")),
    )


def account_bucket(username: str) -> Limit:
    rates = conf.own("SIGN_IN_RATES")
    return Limit("sign-in to an account", normalize_username(username), rates, username)


def reset_attempts(username: str) -> None:
    """Forget what counts against an account from devices it does not know."""
    clear(account_bucket(username))


def device_bucket(username: str, device: str) -> Limit:
    subject = f"{normalize_username(username)}\0{device}"
    return Limit("sign-in on a known device", subject, conf.own("SIGN_IN_RATES"), username)


def current_password_limits(session: DeviceSession) -> tuple[Limit, ...]:
    """Return what showing the present password counts against, for somebody signed in."""
    device = session.installation_id or str(session.pk)
    return (device_bucket(session.user.get_username(), device),)
