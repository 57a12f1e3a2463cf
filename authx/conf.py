"""The settings of authx, their defaults and types; read at each access."""

from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from django.conf import settings

# Longer is as good as never; and dates have a maximum.
MAX_LIFETIME: Final = timedelta(days=3650)


class RetryPolicy(StrEnum):
    """How long the response to a refresh may be requested again."""

    UNTIL_CONFIRMED = "until_confirmed"
    STRICT = "strict"


DEFAULTS: Final[dict[str, Any]] = {
    # A refresh token that is not used for this long expires.
    "REFRESH_TOKEN_TTL": timedelta(days=30),
    # The longest life of a session, however often it refreshes.
    "SESSION_TTL": timedelta(days=180),
    # A function of a user and a Device that returns the authx.api.Lifetimes of a new session; as a
    # dotted path.
    "LIFETIMES": None,
    # The same for browsers that are signed in by a cookie, and for those of staff, who have the
    # admin.
    "BROWSER_IDLE_TTL": timedelta(days=1),
    "BROWSER_SESSION_TTL": timedelta(days=14),
    "STAFF_BROWSER_IDLE_TTL": timedelta(minutes=30),
    "STAFF_BROWSER_SESSION_TTL": timedelta(hours=12),
    # How long a superseded generation is still answered after its successor was first used.
    "REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=10),
    "RETRY": RetryPolicy.UNTIL_CONFIRMED.value,
    # The header in which the proxy says when a request reached it, such as "X-Request-Start". Only
    # a header that the proxy sets or removes in every request: a client could write it too.
    "REQUEST_START_HEADER": None,
    # The live sessions of a user; one more evicts the least recently used.
    "SESSION_LIMIT_PER_USER": 10,
    # The size of `data` of a session, in bytes of UTF-8 JSON without spaces.
    "MAX_SESSION_DATA_BYTES": 2048,
    "REFRESH_TOKEN_PREFIX": "axr_",
    # The protection space named in WWW-Authenticate (RFC 9110 section 11.5).
    "REALM": "api",
    # The paths that APIMiddleware protects, as a regular expression; without pages for browsers.
    "API_PATHS": r"^/users/",
    # The issuer (RFC 8414 section 2); "" for the origin of each request.
    "ISSUER": "",
    # Ended sessions are kept this long, for operators to investigate.
    "SWEEP_RETENTION": timedelta(days=7),
    "SWEEP_BATCH_SIZE": 1000,
    # For authx.contrib.sunset: when an older scheme was deprecated, when it ends (without an end it
    # is not accepted), and the URL of an explanation.
    "DEPRECATED_AT": None,
    "SUNSET_AT": None,
    "SUNSET_LINK": "",
    # Where attempts are counted; "memory://" is for a single process.
    "THROTTLE_STORAGE_URL": "memory://",
    # A function of a user and a Django request (or None) that raises an exception if the user may
    # not sign in although the credentials were right; as a dotted path.
    "SIGN_IN_POLICY": None,
    # A function without arguments that names the tenant of the current request, if users of several
    # tenants can have the same primary key; as a dotted path.
    "ACCOUNT_SCOPE": None,
    # Password attempts for one account: by all unknown devices together, and by each known device.
    # A user who mistypes five times waits a minute; guessing gets thirty attempts a day.
    "SIGN_IN_RATES": ["5/minute", "15/hour", "30/day"],
    # Sign-ins from one network to any account: more than an office needs, and far fewer than
    # password spraying needs.
    "SIGN_IN_RATES_PER_IP": ["30/minute", "300/hour"],
    # The same for what one household may have, an IPv6 /56; and for what a hoster, a company or a
    # part of a mobile network may have, an IPv6 /48 or an IPv4 /24.
    "SIGN_IN_RATES_PER_SUBNET": ["120/minute", "1200/hour"],
    "SIGN_IN_RATES_PER_SITE": ["600/minute", "6000/hour"],
    # Consecutive failures that lock a password until it is changed; at most a hundred (NIST SP
    # 800-63B-4 section 3.2.2).
    "MAX_PASSWORD_FAILURES": 100,
    # How many passwords one process hashes at once. As many more wait, for PASSWORD_CHECK_WAIT at
    # most; the others are answered 503.
    "PASSWORD_CHECKS_AT_ONCE": 1,
    "PASSWORD_CHECK_WAIT": timedelta(seconds=2),
    # Refreshes and revocations of one session. An app refreshes about four times an hour; twenty
    # parallel requests that all refresh and retry stay far below.
    "REFRESH_RATES": ["60/minute"],
    # Other requests of one session to the endpoints of authx.
    "SESSION_RATES": ["120/minute"],
    # Requests of one service to `users/introspect`.
    "SERVICE_RATES": ["6000/minute"],
    # Forged tokens and service credentials, from one network.
    "FORGED_TOKEN_RATES": ["60/minute"],
    # Mails with a link to a new password, to one account; more are silently not sent. A longer
    # window than the half hour of a link would let a stranger use up the mails of the owner.
    "RECOVERY_RATES": ["2/30 minutes"],
    # Where the pages of authx.contrib.account are, as mails link to them, such as
    # "https://example.com/account/"; "" without them.
    "ACCOUNT_URL": "",
    # The link in the mail about a new password, with "{token}" in it, such as one to an app,
    # or "" for the page.
    "RECOVERY_LINK": "",
    # The endpoints that ask for a recent sign-in, by the names of their URLs, and how recent it is.
    "RECENT_SIGN_IN": {},
    # Security events are kept this long, with their addresses.
    "EVENT_RETENTION": timedelta(days=180),
    # The dotted path of a function that returns the language of a user's mail, such as "de", or ""
    # where it is unknown. Without it, mail has the language of the request that caused it.
    "USER_LANGUAGE": None,
    # For authx.contrib.tracing: whether spans name the session. Its id is random and grants no
    # access, but it links the requests of one device.
    "TRACE_SESSION_ID": True,
}

# Defaults of REST_KNOX. Those of Knox never expire (AUTO_REFRESH_MAX_TTL) or last ten hours
# (TOKEN_TTL).
KNOX_DEFAULTS: Final[dict[str, Any]] = {
    "TOKEN_TTL": timedelta(minutes=15),
    "AUTO_REFRESH": True,
    "AUTO_REFRESH_MAX_TTL": timedelta(hours=1),
    "MIN_REFRESH_INTERVAL": 60,
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_PREFIX": "axa_",
}


def authx_setting(name: str) -> Any:
    """Return the setting AUTHX[name], or its default."""
    return getattr(settings, "AUTHX", {}).get(name, DEFAULTS[name])


def knox_setting(name: str) -> Any:
    """Return the setting REST_KNOX[name], or the default that authx gives it."""
    return getattr(settings, "REST_KNOX", {}).get(name, KNOX_DEFAULTS[name])


def secret_keys() -> list[str | bytes]:
    """Return the keys that are accepted; the first one signs."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def access_token_ttl() -> timedelta:
    ttl: timedelta = knox_setting("TOKEN_TTL")
    return ttl


def access_token_max_ttl() -> timedelta:
    ttl: timedelta = knox_setting("AUTO_REFRESH_MAX_TTL")
    return ttl


def min_renewal_interval() -> timedelta:
    return timedelta(seconds=knox_setting("MIN_REFRESH_INTERVAL"))


def refresh_token_ttl() -> timedelta:
    ttl: timedelta = authx_setting("REFRESH_TOKEN_TTL")
    return ttl


def session_ttl() -> timedelta:
    ttl: timedelta = authx_setting("SESSION_TTL")
    return ttl


def browser_ttls(*, is_staff: bool) -> tuple[timedelta, timedelta]:
    """Return how long a browser stays signed in without use, and at most."""
    if is_staff:
        return authx_setting("STAFF_BROWSER_IDLE_TTL"), authx_setting("STAFF_BROWSER_SESSION_TTL")
    return authx_setting("BROWSER_IDLE_TTL"), authx_setting("BROWSER_SESSION_TTL")


def refresh_token_grace_period() -> timedelta:
    grace_period: timedelta = authx_setting("REFRESH_TOKEN_GRACE_PERIOD")
    return grace_period


def sweep_retention() -> timedelta:
    retention: timedelta = authx_setting("SWEEP_RETENTION")
    return retention


def event_retention() -> timedelta:
    retention: timedelta = authx_setting("EVENT_RETENTION")
    return retention
