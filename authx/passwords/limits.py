"""Limits of password attempts: by account and client network, and separately by known device."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from django.db import DatabaseError, InterfaceError, InternalError, OperationalError
from django.utils.module_loading import import_string

from authx import conf
from authx.audit.events import record_daily, record_event
from authx.audit.nobody import write_event_of_nobody
from authx.devices import find_known_device, known_devices
from authx.errors import ConflictError, OverloadedError, RateLimitError
from authx.models import DeviceSession, EventKind
from authx.passwords.bulkhead import require_room
from authx.throttling.limits import (
    Limit,
    clear,
    client_subnets,
    consume,
    give_back,
    network_limits,
)
from authx.usernames import ResolvedName, normalize_username, resolve_name

if TYPE_CHECKING:
    from django.contrib.auth.models import User

# What the client is answered 503 for.
OUTAGES: Final = (OperationalError, InterfaceError, InternalError, ConflictError)

# In seconds; the hour that a window of an hour can ask for is not hard.
HARD_WAIT: Final = 2 * 3600


class Attempt:
    """A counted attempt; `succeed` clears the bucket of the account or of the known device.

    One that is nested in another has no bucket: the outer one decides.
    """

    def __init__(self, bucket: Limit | None) -> None:
        self.bucket = bucket
        self.resolved: ResolvedName | None = None

    def succeed(self) -> None:
        # The count of the network stays: otherwise one account of one's own would be enough to
        # spray passwords over all others.
        if self.bucket is not None:
            clear(self.bucket)


# Set while a counted attempt is under way.
_attempt: ContextVar[Attempt | None] = ContextVar("authx_password_attempt", default=None)


@contextmanager
def password_attempt(*limits: Limit) -> Iterator[Attempt]:
    """Count an attempt before the password is checked; raises RateLimitError.

    The first limit is the bucket that a success clears. Within another attempt this counts nothing:
    a view that knows more than the password backend, such as the device, counts for both. An outage
    counts nothing. Call it from synchronous code: an exceeded limit is written to the database.
    """
    if _attempt.get() is not None:
        yield Attempt(None)
        return
    try:
        consume(*limits)
    except RateLimitError as error:
        for limit in error.exceeded:
            # A database that is unavailable does not lift the limit; it is reported elsewhere.
            with suppress(DatabaseError):
                _record(limit, is_hard=error.wait > HARD_WAIT)
        raise
    attempt = Attempt(limits[0])
    marker = _attempt.set(attempt)
    try:
        yield attempt
    except OverloadedError:
        # The count of the network stays, so that a flood ends.
        give_back(limits[0])
        raise
    except OUTAGES:
        # Of a wrong password nothing is learnt by it: the failure is counted in the database too,
        # before the check (check.py), and stays.
        give_back(*limits)
        raise
    finally:
        _attempt.reset(marker)


@contextmanager
def sign_in_attempt(username: str, device_credential: str = "") -> Iterator[Attempt]:
    """Count a sign-in; see `password_attempt` and `sign_in_limits`."""
    if _attempt.get() is not None:
        yield Attempt(None)
        return
    require_room()
    resolved = resolve_name(username)
    with password_attempt(*_limits_of(resolved, device_credential)) as attempt:
        attempt.resolved = resolved
        yield attempt


def resolved_in_attempt(username: str, backend: Any) -> ResolvedName | None:
    """Return what this attempt already knows of a name, once, which saves the backend a query.

    When a check is repeated, the user may have changed.
    """
    attempt = _attempt.get()
    if attempt is None:
        return None
    resolved, attempt.resolved = attempt.resolved, None
    if resolved is None or resolved.name != username:
        return None
    # Of several backends, another one may know another user by this name.
    is_own = resolved.user is None or type(resolved.backend) is type(backend)
    return resolved if is_own else None


def sign_in_limits(username: str, device_credential: str = "") -> tuple[Limit, ...]:
    """Return the limits of a sign-in, its bucket first.

    A device that proves to be known has a bucket of its own, so that guesses from elsewhere, even
    from behind the same address, do not lock its owner out (OWASP, "device cookies"). A credential
    that is forged or of another account gains nothing: it uses the bucket of the account.
    """
    return _limits_of(resolve_name(username), device_credential)


def _limits_of(resolved: ResolvedName, device_credential: str) -> tuple[Limit, ...]:
    user = resolved.user
    # Only who holds a credential of this account learns by a query that the account exists.
    device_id = find_known_device(user, device_credential) if user else None
    if user and device_id:
        return (device_bucket(user.pk, device_id),)
    bucket = account_bucket(user.pk) if user else name_bucket(resolved.name)
    return (bucket, *_network_limits())


def _network_limits() -> Iterator[Limit]:
    yield from client_limits("sign-ins")


def client_limits(what: str) -> Iterator[Limit]:
    """Yield the limits of the client's networks, the smallest first."""
    rates = conf.authx_setting("SIGN_IN_RATES_PER_IP")
    yield from network_limits(f"{what} from a network", rates)
    rates = {
        "subnet": conf.authx_setting("SIGN_IN_RATES_PER_SUBNET"),
        "site": conf.authx_setting("SIGN_IN_RATES_PER_SITE"),
    }
    for kind, subnet in client_subnets().items():
        yield Limit(f"{what} from a {kind}", subnet, rates[kind])


def current_password_limits(session: DeviceSession) -> tuple[Limit, ...]:
    """Return the limits of entering the current password while signed in."""
    return (device_bucket(session.user_id, session.device_id),)


def reset_attempts(user: "User") -> None:
    """Clear the counts of an account's attempts, from all of its devices."""
    for bucket in account_buckets(user.pk):
        clear(bucket)


def account_buckets(user_id: Any) -> list[Limit]:
    """Return what counts attempts at an account: its bucket, of browsers, and of each device."""
    devices = known_devices(user_id=user_id)
    of_devices = (device_bucket(user_id, device) for device in devices)
    own = [account_bucket(user_id), browser_bucket(user_id), recovery_bucket(user_id)]
    return [*own, *of_devices]


def account_bucket(user_id: Any) -> Limit:
    return _bucket("sign-ins to an account", "user", str(user_id), user_id=user_id)


def name_bucket(username: str) -> Limit:
    """Return the bucket of a name that no backend knows."""
    return _bucket(
        "sign-ins to an account", "name", normalize_username(username), username=username
    )


def device_bucket(user_id: Any, device_id: UUID) -> Limit:
    return _bucket("sign-ins on a known device", str(user_id), str(device_id), user_id=user_id)


def browser_bucket(user_id: Any) -> Limit:
    """Return the bucket of a user who is signed in by a cookie and enters the password again."""
    return _bucket("passwords in a browser", str(user_id), user_id=user_id)


def recovery_bucket(user_id: Any, name: str = "") -> Limit:
    """Return the bucket of mails with a link to a new password, to a user or a name of nobody."""
    subject = ("name", normalize_username(name)) if user_id is None else ("user", str(user_id))
    return _bucket("mails to an account", *subject, rates=conf.authx_setting("RECOVERY_RATES"))


def _bucket(kind: str, *subject: str, rates: Any = None, **named: Any) -> Limit:
    path = conf.authx_setting("ACCOUNT_SCOPE")
    scope = import_string(path)() if path else ""
    allowed = conf.authx_setting("SIGN_IN_RATES") if rates is None else rates
    return Limit(kind, "\0".join([scope, *subject]), allowed, **named)


def _record(limit: Limit, *, is_hard: bool) -> None:
    if limit.user_id is None and limit.username is None:
        record_event(kind=EventKind.RATE_LIMITED, reason=limit.kind)
        return
    if limit.user_id is None:
        write_event_of_nobody(EventKind.SIGN_IN_LIMITED, limit.kind)
    elif is_hard:
        # The owner is told, with the way back in; of a minute, they are not.
        reason = f"{limit.kind}, for hours"
        record_daily(kind=EventKind.SIGN_IN_LIMITED, user_id=limit.user_id, reason=reason)
    else:
        record_event(
            kind=EventKind.SIGN_IN_LIMITED,
            user_id=limit.user_id,
            reason=limit.kind,
            is_mailed=False,
        )
