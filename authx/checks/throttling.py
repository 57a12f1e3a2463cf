"""System checks of the settings that limit attempts."""

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from limits import parse
from rest_framework.settings import api_settings

from authx import conf
from authx.checks.project import is_public
from authx.passwords.bulkhead import UNLIMITED, available_memory, memory_for_hashing
from authx.throttling.store import PER_PROCESS, SHARED, store_at

RATES: Final = (
    "SIGN_IN_RATES",
    "SIGN_IN_RATES_PER_IP",
    "SIGN_IN_RATES_PER_SUBNET",
    "SIGN_IN_RATES_PER_SITE",
    "REFRESH_RATES",
    "SESSION_RATES",
    "SERVICE_RATES",
    "FORGED_TOKEN_RATES",
    "RECOVERY_RATES",
)
# NIST SP 800-63B-4 section 3.2.2.
MAX_FAILURES: Final = 100
MAX_WAIT: Final = timedelta(seconds=10)
# The rest is for the process itself, and for the database beside it.
MEMORY_SHARE: Final = 0.5


def check_throttling(**_: Any) -> list[CheckMessage]:
    """Check the limits on any machine."""
    checks = (
        _check_rates,
        _check_failures,
        _check_proxies,
        _check_storage,
        _check_bulkhead,
    )
    return [message for check in checks for message in check()]


def check_sharing(**_: Any) -> list[CheckMessage]:
    """Check what depends on where it runs (`check --deploy`)."""
    return [*_check_sharing(), *_check_memory()]


def _check_rates() -> Iterator[CheckMessage]:
    for name in RATES:
        rates = conf.authx_setting(name)
        if not isinstance(rates, list | tuple) or not rates or not all(map(_is_rate, rates)):
            yield Error(
                f"AUTHX[{name!r}] is {rates!r}.",
                hint='Set a list of rates such as ["5/minute", "15/hour"]; all of them apply.',
                id="authx.E020",
            )


def _is_rate(text: Any) -> bool:
    try:
        return parse(text).amount > 0
    except ValueError:
        return False


def _check_failures() -> Iterator[CheckMessage]:
    count = conf.authx_setting("MAX_PASSWORD_FAILURES")
    if type(count) is not int or not 1 <= count <= MAX_FAILURES:
        yield Error(
            f"AUTHX['MAX_PASSWORD_FAILURES'] is {count!r}.",
            hint="Set a whole number from 1 to 100 (NIST SP 800-63B-4 section 3.2.2).",
            id="authx.E021",
        )


def _check_proxies() -> Iterator[CheckMessage]:
    count = api_settings.NUM_PROXIES
    if type(count) is not int or count < 0:
        yield Error(
            f"REST_FRAMEWORK['NUM_PROXIES'] is {count!r}: a client could choose its own address.",
            hint="Set the number of proxies that append to X-Forwarded-For; 0 for none.",
            id="authx.E022",
        )


def _check_storage() -> Iterator[CheckMessage]:
    url = conf.authx_setting("THROTTLE_STORAGE_URL")
    if url == PER_PROCESS:
        return
    usable = isinstance(url, str) and url.startswith(SHARED)
    try:
        # Parses the URL and imports the client library, without connecting.
        usable = usable and bool(store_at(url))
    except Exception:  # noqa: BLE001 -- each client library raises errors of its own
        usable = False
    if not usable:
        # The URL stays out of the message: it may carry a password.
        yield Error(
            "AUTHX['THROTTLE_STORAGE_URL'] names no usable store.",
            hint=f"Install the library redis. Set {PER_PROCESS} or a URL that begins with one of "
            f"{', '.join(SHARED)}.",
            id="authx.E023",
        )


def _check_sharing() -> Iterator[CheckMessage]:
    if conf.authx_setting("THROTTLE_STORAGE_URL") == PER_PROCESS and is_public():
        yield Error(
            "Each process counts rate limits separately, and ALLOWED_HOSTS admits other machines.",
            hint="Set AUTHX['THROTTLE_STORAGE_URL'] to a Redis that all processes share.",
            id="authx.E024",
        )


def _check_bulkhead() -> Iterator[CheckMessage]:
    size = conf.authx_setting("PASSWORD_CHECKS_AT_ONCE")
    if type(size) is not int or size < 1:
        yield Error(
            f"AUTHX['PASSWORD_CHECKS_AT_ONCE'] is {size!r}.",
            hint="Set a whole number from 1, less than half of the threads of a process.",
            id="authx.E072",
        )
    wait = conf.authx_setting("PASSWORD_CHECK_WAIT")
    if not isinstance(wait, timedelta) or not timedelta(0) <= wait <= MAX_WAIT:
        yield Error(
            f"AUTHX['PASSWORD_CHECK_WAIT'] is {wait!r}.",
            hint="Set a timedelta from 0 to 10 seconds: a request that waits takes a thread.",
            id="authx.E073",
        )


def _check_memory() -> Iterator[CheckMessage]:
    if any(_check_bulkhead()):
        return
    needed, memory = memory_for_hashing(), available_memory()
    if memory == UNLIMITED:
        yield CheckWarning(
            "How much memory this machine has could not be found out, so it cannot be compared "
            f"with the {needed >> 20} MiB that password checks may take in each process.",
            hint="Compare it yourself, and silence this check.",
            id="authx.W021",
        )
    elif needed > memory * MEMORY_SHARE:
        yield CheckWarning(
            f"Password checks may take {needed >> 20} MiB in each process, and this machine has "
            f"{int(memory) >> 20} MiB.",
            hint="Lower AUTHX['PASSWORD_CHECKS_AT_ONCE'], or give it more memory.",
            id="authx.W020",
        )
