"""Attempts at a password: limited for an account, for a source, and apart for a known device."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from django.contrib.auth import get_user_model

from authx import conf
from authx.models import AccessToken, DeviceSession
from authx.throttling.rates import Limit, clear, normalised, source_subject, take

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
    if installation_id and knows_installation(username, installation_id):
        return (device_lane(username, installation_id),)
    return (
        account_lane(username),
        Limit("sign-in of a source", source_subject(), conf.own("SIGN_IN_RATES_PER_SOURCE")),
    )


def account_lane(username: str) -> Limit:
    return Limit("sign-in to an account", normalised(username), conf.own("SIGN_IN_RATES"))


def forget_attempts(username: str) -> None:
    """Forget what counts against an account from devices it does not know."""
    clear(account_lane(username))


def device_lane(username: str, device: str) -> Limit:
    subject = f"{normalised(username)}\0{device}"
    return Limit("sign-in on a known device", subject, conf.own("SIGN_IN_RATES"))


def present_password_limits(access_token: AccessToken) -> tuple[Limit, ...]:
    """Return what showing the present password counts against, for somebody signed in."""
    session = access_token.session
    device = session.installation_id or str(session.pk)
    return (device_lane(access_token.user.get_username(), device),)


def knows_installation(username: str, installation_id: str) -> bool:
    """Say whether an account was signed in on an installation; the same query for unknown names."""
    named = {f"user__{get_user_model().USERNAME_FIELD}": username}
    return DeviceSession.objects.filter(installation_id=installation_id, **named).exists()
