"""System checks: settings that contradict each other, never end, or undo a promise."""

import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from math import inf
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.mail.message import sanitize_address
from django.db import connections
from knox.settings import CONSTANTS, knox_settings

from authx import conf
from authx.conf import MAX_LIFETIME, RetryPolicy
from authx.models import write_alias

BROWSER_LIFETIMES: Final = (
    "BROWSER_IDLE_TTL",
    "BROWSER_SESSION_TTL",
    "STAFF_BROWSER_IDLE_TTL",
    "STAFF_BROWSER_SESSION_TTL",
)
MAX_ACCESS_TTL: Final = timedelta(hours=1)
# An empty object; and a body of a request has at most 64 KiB.
MIN_DATA_BYTES: Final = 2
MAX_DATA_BYTES: Final = 32 * 1024
MAX_GRACE_PERIOD: Final = timedelta(seconds=60)
WEAK_HASHES: Final = frozenset({"md5", "sha1"})
# Elsewhere, half of the tables may be made: for MySQL and Oracle an index is missing or too long.
SUPPORTED_DATABASES: Final = frozenset({"postgresql", "sqlite"})
REALM: Final = re.compile(r"[ !#-\[\]-~]+")
# RFC 8414 section 2; plain http only on loopback.
ISSUER: Final = re.compile(
    r"(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/[^\s?#]*[^\s/?#])?"
)
# RFC 9110 section 5.6.2.
HEADER_NAME: Final = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]+")
TOKEN68: Final = re.compile(r"[A-Za-z0-9\-._~+/]*")


def check_settings(**_: Any) -> list[CheckMessage]:
    """Run every check below."""
    unknown = list(_check_names())
    lifetimes = list(_check_lifetimes())
    # Lifetimes can only be compared if each of them is valid.
    relations = [] if lifetimes else list(_check_relations())
    rest = (message for check in OTHER_CHECKS for message in check())
    return [*unknown, *lifetimes, *relations, *rest]


def _error(number: int, text: str, hint: str) -> Error:
    return Error(text, hint=hint, id=f"authx.E{number:03}")


def _check_names() -> Iterator[CheckMessage]:
    for name in sorted(set(getattr(settings, "AUTHX", {})) - set(conf.DEFAULTS)):
        yield _error(
            1, f"AUTHX has no setting {name!r}.", "Correct the name or remove the setting."
        )


def _check_optional_apps() -> Iterator[CheckMessage]:
    dates = {"DEPRECATED_AT", "SUNSET_AT", "SUNSET_LINK"} & set(getattr(settings, "AUTHX", {}))
    if dates and not apps.is_installed("authx.contrib.sunset"):
        yield _error(
            19,
            f"AUTHX sets {', '.join(sorted(dates))} without authx.contrib.sunset.",
            "Add 'authx.contrib.sunset' to INSTALLED_APPS, or remove the settings.",
        )


def _check_lifetimes() -> Iterator[CheckMessage]:
    lifetimes = {
        "REST_KNOX['TOKEN_TTL']": conf.knox_setting("TOKEN_TTL"),
        "REST_KNOX['AUTO_REFRESH_MAX_TTL']": conf.knox_setting("AUTO_REFRESH_MAX_TTL"),
        "AUTHX['REFRESH_TOKEN_TTL']": conf.authx_setting("REFRESH_TOKEN_TTL"),
        "AUTHX['SESSION_TTL']": conf.authx_setting("SESSION_TTL"),
        **{f"AUTHX[{name!r}]": conf.authx_setting(name) for name in BROWSER_LIFETIMES},
    }
    for name, value in lifetimes.items():
        if not isinstance(value, timedelta) or not timedelta(0) < value <= MAX_LIFETIME:
            yield _error(
                2, f"{name} is {value!r}.", "Set a positive timedelta of at most ten years."
            )
    spans = {
        "AUTHX['REFRESH_TOKEN_GRACE_PERIOD']": conf.authx_setting("REFRESH_TOKEN_GRACE_PERIOD"),
        "AUTHX['SWEEP_RETENTION']": conf.authx_setting("SWEEP_RETENTION"),
        "AUTHX['EVENT_RETENTION']": conf.authx_setting("EVENT_RETENTION"),
    }
    for name, value in spans.items():
        if not isinstance(value, timedelta) or not timedelta(0) <= value <= MAX_LIFETIME:
            yield _error(3, f"{name} is {value!r}.", "Set a timedelta from zero to ten years.")
    interval = conf.knox_setting("MIN_REFRESH_INTERVAL")
    if type(interval) not in {int, float} or not 0 <= interval < inf:
        yield _error(
            4, f"REST_KNOX['MIN_REFRESH_INTERVAL'] is {interval!r}.", "Set a number of seconds."
        )


def _check_relations() -> Iterator[CheckMessage]:
    ttl, max_ttl = conf.access_token_ttl(), conf.access_token_max_ttl()
    if not ttl <= max_ttl <= conf.refresh_token_ttl() <= conf.session_ttl():
        yield _error(
            5,
            "The lifetimes contradict each other.",
            "Keep TOKEN_TTL <= AUTO_REFRESH_MAX_TTL <= REFRESH_TOKEN_TTL <= SESSION_TTL.",
        )
    if any(
        idle > total for idle, total in (conf.browser_ttls(is_staff=one) for one in (False, True))
    ):
        yield _error(
            80,
            "The lifetimes of browsers contradict each other.",
            "Keep BROWSER_IDLE_TTL <= BROWSER_SESSION_TTL, and those of staff likewise.",
        )
    if conf.knox_setting("AUTO_REFRESH") and conf.min_renewal_interval() >= ttl:
        yield _error(
            6,
            "Access tokens would never be renewed: MIN_REFRESH_INTERVAL reaches TOKEN_TTL.",
            "Lower REST_KNOX['MIN_REFRESH_INTERVAL'], or set AUTO_REFRESH to False.",
        )
    if conf.refresh_token_grace_period() >= ttl:
        yield _error(
            7,
            "REFRESH_TOKEN_GRACE_PERIOD reaches TOKEN_TTL: old access tokens would stay valid.",
            "Set the grace period to some seconds.",
        )
    elif conf.refresh_token_grace_period() > MAX_GRACE_PERIOD:
        yield CheckWarning(
            "REFRESH_TOKEN_GRACE_PERIOD is longer than a minute.",
            hint="A stolen token is accepted for as long; requests in flight need seconds.",
            id="authx.W001",
        )
    if max_ttl > MAX_ACCESS_TTL:
        yield CheckWarning(
            "Access tokens may live longer than an hour.",
            hint="RFC 6750 section 5.3 recommends one hour or less: lower AUTO_REFRESH_MAX_TTL.",
            id="authx.W002",
        )


def _check_retry() -> Iterator[CheckMessage]:
    retry = conf.authx_setting("RETRY")
    if retry not in list(RetryPolicy):
        known = ", ".join(repr(policy.value) for policy in RetryPolicy)
        yield _error(8, f"AUTHX['RETRY'] is {retry!r}.", f"Choose one of {known}.")


def _check_counts() -> Iterator[CheckMessage]:
    for name in ("SESSION_LIMIT_PER_USER", "SWEEP_BATCH_SIZE"):
        count = conf.authx_setting(name)
        if type(count) is not int or count < 1:
            yield _error(9, f"AUTHX[{name!r}] is {count!r}.", "Set a whole number from 1.")


def _check_data_size() -> Iterator[CheckMessage]:
    size = conf.authx_setting("MAX_SESSION_DATA_BYTES")
    if type(size) is not int or not MIN_DATA_BYTES <= size <= MAX_DATA_BYTES:
        yield _error(
            75,
            f"AUTHX['MAX_SESSION_DATA_BYTES'] is {size!r}.",
            f"Set a whole number of bytes from {MIN_DATA_BYTES} (no data) to {MAX_DATA_BYTES}.",
        )


def _check_tracing() -> Iterator[CheckMessage]:
    shows_session = conf.authx_setting("TRACE_SESSION_ID")
    if not isinstance(shows_session, bool):
        # Such as the text "false" of an environment variable, which is true.
        yield _error(66, f"AUTHX['TRACE_SESSION_ID'] is {shows_session!r}.", "Set True or False.")


def _check_request_start_header() -> Iterator[CheckMessage]:
    name = conf.authx_setting("REQUEST_START_HEADER")
    if name is not None and not (isinstance(name, str) and HEADER_NAME.fullmatch(name)):
        yield _error(
            76,
            f"AUTHX['REQUEST_START_HEADER'] is {name!r}.",
            "Set None, or the name of a header, such as 'X-Request-Start'.",
        )


def _check_prefixes() -> Iterator[CheckMessage]:
    access, refresh = conf.knox_setting("TOKEN_PREFIX"), conf.authx_setting("REFRESH_TOKEN_PREFIX")
    longest = CONSTANTS.MAXIMUM_TOKEN_PREFIX_LENGTH
    if access == refresh:
        yield _error(
            10,
            "Access and refresh tokens have the same prefix.",
            "Let REST_KNOX['TOKEN_PREFIX'] and AUTHX['REFRESH_TOKEN_PREFIX'] differ.",
        )
    for prefix in (access, refresh):
        if not isinstance(prefix, str) or not TOKEN68.fullmatch(prefix) or len(prefix) > longest:
            yield _error(
                11,
                f"The token prefix {prefix!r} cannot be used.",
                f"Use at most {longest} letters, digits and -._~+/ (RFC 9110 token68).",
            )


def _check_realm() -> Iterator[CheckMessage]:
    realm = conf.authx_setting("REALM")
    if not isinstance(realm, str) or not REALM.fullmatch(realm):
        yield _error(
            18,
            f"AUTHX['REALM'] is {realm!r}.",
            "Use printable ASCII without quotes and backslashes: a header quotes it.",
        )


def _check_issuer() -> Iterator[CheckMessage]:
    name = conf.authx_setting("ISSUER")
    if not isinstance(name, str) or (name and not ISSUER.fullmatch(name)):
        yield _error(
            65,
            f"AUTHX['ISSUER'] is {name!r}.",
            "Set an https URL (http on loopback) without query, fragment and trailing slash.",
        )


def _check_knox() -> Iterator[CheckMessage]:
    if getattr(settings, "KNOX_TOKEN_MODEL", "") != "authx.DeviceSession":
        yield _error(
            12,
            "Knox does not use DeviceSession as its token model.",
            "Set KNOX_TOKEN_MODEL = 'authx.DeviceSession'.",
        )
    if str(conf.knox_setting("AUTH_HEADER_PREFIX")).lower() != "bearer":
        yield _error(
            13,
            "REST_KNOX['AUTH_HEADER_PREFIX'] is not Bearer, the token type of every pair.",
            "Remove the setting, or set it to 'Bearer' (RFC 6750 section 2.1).",
        )
    algorithm = knox_settings.SECURE_HASH_ALGORITHM().name
    if algorithm in WEAK_HASHES:
        yield _error(
            14,
            f"REST_KNOX['SECURE_HASH_ALGORITHM'] is {algorithm}.",
            "Use hashlib.sha256 or better; Knox's own default is hashlib.sha512.",
        )
    if getattr(settings, "MIGRATION_MODULES", {}).get("knox", "knox") is not None:
        yield CheckWarning(
            "The migrations of Knox create an unused table of tokens.",
            hint="Set MIGRATION_MODULES = {'knox': None}.",
            id="authx.W003",
        )


def _check_keys() -> Iterator[CheckMessage]:
    if not all(conf.secret_keys()):
        yield _error(
            17,
            "SECRET_KEY or SECRET_KEY_FALLBACKS contains an empty key: anyone can sign with it.",
            "Remove the empty key.",
        )


def _check_clock() -> Iterator[CheckMessage]:
    if not settings.USE_TZ:
        yield _error(16, "USE_TZ is False.", "Set it to True: an expiry must be one instant.")


def _check_database() -> Iterator[CheckMessage]:
    vendor = connections[write_alias()].vendor
    if vendor not in SUPPORTED_DATABASES:
        yield _error(
            70,
            f"The database of the sessions is {vendor}, which authx does not support.",
            "Use PostgreSQL, or SQLite for a single process.",
        )


def _check_sender() -> Iterator[CheckMessage]:
    try:
        sanitize_address(settings.DEFAULT_FROM_EMAIL, "utf-8")
    except ValueError:
        yield _error(
            74,
            f"DEFAULT_FROM_EMAIL is {settings.DEFAULT_FROM_EMAIL!r}, which no mail can carry.",
            """Put a name with a comma or a full stop in quotes: '"Shop, Inc." <a@example.com>'.""",
        )


OTHER_CHECKS: Final[tuple[Callable[[], Iterator[CheckMessage]], ...]] = (
    _check_retry,
    _check_counts,
    _check_data_size,
    _check_prefixes,
    _check_issuer,
    _check_realm,
    _check_knox,
    _check_clock,
    _check_keys,
    _check_optional_apps,
    _check_tracing,
    _check_request_start_header,
    _check_database,
    _check_sender,
)
