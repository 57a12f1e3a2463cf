"""Attempts at a password: limited for an account, for a source, and apart for a known device."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth import get_user_model
from django.db.models import Subquery

from authx import conf
from authx.models import DeviceSession
from authx.throttling.rates import Limit, clear, source_subject, take
from authx.trail.acquaintance import knows_installation
from authx.trail.names import normalised

# Set while an attempt is under way that a door of ours has counted.
_counted: ContextVar[bool] = ContextVar("authx_attempt_counted", default=False)


class Attempt:
    """An attempt that was counted; `succeed` forgets those that went before it in its lane."""

    def __init__(self, lane: Limit | None) -> None:
        self._lane = lane

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
    take(*limits)
    marker = _counted.set(True)
    try:
        yield Attempt(limits[0])
    finally:
        _counted.reset(marker)


def sign_in_limits(username: str, installation_id: str = "") -> tuple[Limit, ...]:
    """Return what a sign-in counts against, its lane first.

    A device that the account knows has a lane of its own, beside that of everybody else, so that
    nobody who guesses can keep its owner out, not from behind the same address either. Inventing
    installations opens no lane: an unknown one shares the account's.
    """
    # The same query for a name that nobody has.
    users = get_user_model()._default_manager
    named = users.filter(**{get_user_model().USERNAME_FIELD: username}).values("pk")[:1]
    if knows_installation(user_id=Subquery(named), installation_id=installation_id):
        return (device_lane(username, installation_id),)
    return (
        account_lane(username),
        Limit("sign-in of a source", source_subject(), conf.own("SIGN_IN_RATES_PER_SOURCE")),
    )


def account_lane(username: str) -> Limit:
    rates = conf.own("SIGN_IN_RATES")
    return Limit("sign-in to an account", normalised(username), rates, username)


def forget_attempts(username: str) -> None:
    """Forget what counts against an account from devices it does not know."""
    clear(account_lane(username))


def device_lane(username: str, device: str) -> Limit:
    subject = f"{normalised(username)}\0{device}"
    return Limit("sign-in on a known device", subject, conf.own("SIGN_IN_RATES"), username)


def present_password_limits(session: DeviceSession) -> tuple[Limit, ...]:
    """Return what showing the present password counts against, for somebody signed in."""
    device = session.installation_id or str(session.pk)
    return (device_lane(session.user.get_username(), device),)
