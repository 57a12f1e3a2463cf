"""The settings of authx, their defaults and types; read at each access, never kept."""

from datetime import timedelta
from enum import StrEnum
from typing import Any, Final

from django.conf import settings


class RetryPolicy(StrEnum):
    """How long a lost answer may be asked for again."""

    UNTIL_CONFIRMED = "until_confirmed"
    STRICT = "strict"


DEFAULTS: Final[dict[str, Any]] = {
    # A refresh token that nobody uses for this long is dead.
    "REFRESH_TOKEN_TTL": timedelta(days=30),
    # No session lives longer than this, however often it refreshes.
    "SESSION_TTL": timedelta(days=180),
    # How long a superseded generation is still answered after its successor was first used.
    "REFRESH_TOKEN_GRACE_PERIOD": timedelta(seconds=10),
    "RETRY": RetryPolicy.UNTIL_CONFIRMED.value,
    # Live sessions of a user; one more evicts the least recently used.
    "SESSION_LIMIT_PER_USER": 10,
    "REFRESH_TOKEN_PREFIX": "axr_",
    # The protection space named in WWW-Authenticate (RFC 9110 section 11.5).
    "REALM": "api",
    # The paths that APIMiddleware keeps, a regular expression; pages that users open stay outside.
    "API_PATHS": r"^/users/",
    # What this server is called in OAuth (RFC 8414 section 2); "": as each request calls it.
    "ISSUER": "",
    # Ended sessions are kept this long for whoever has to understand what happened.
    "SWEEP_RETENTION": timedelta(days=7),
    "SWEEP_BATCH_SIZE": 1000,
    # When an older scheme of the project was deprecated, when it ends, and where that is explained;
    # without an end it is not taken at all.
    "DEPRECATED_AT": None,
    "SUNSET_AT": None,
    "SUNSET_LINK": "",
    # Where attempts are counted; each process for itself unless told, which only one can do with.
    "THROTTLE_STORAGE_URL": "memory://",
    # Attempts at one account's password, by devices it does not know together and by each that it
    # knows. A user mistypes a handful and then waits a minute; a guesser gets thirty a day, and
    # the wait grows with the window that is full: a minute, an hour, a day.
    "SIGN_IN_RATES": ["5/minute", "15/hour", "30/day"],
    # Sign-ins from one address to any account: more than an office or a carrier's address needs,
    # which sign in once a device, and far less than spraying a list of names does.
    "SIGN_IN_RATES_PER_IP": ["30/minute", "300/hour"],
    # Wrong passwords in a row, then the password opens nothing until it is set anew: as many as
    # NIST SP 800-63B-4 section 3.2.2 allows.
    "MAX_PASSWORD_FAILURES": 100,
    # Refreshes and revocations of one session. An honest app refreshes four times an hour; twenty
    # requests at once that all refresh, and retry, are still far from it.
    "REFRESH_RATES": ["60/minute"],
    # Other requests of one session to the endpoints of authx; a project's own are not limited.
    "SESSION_RATES": ["120/minute"],
    # Questions of one service at `users/introspect`: it asks as often as it is asked itself.
    "SERVICE_RATES": ["6000/minute"],
    # Tokens and credentials of services that this server never minted, from one source.
    "FORGED_TOKEN_RATES": ["60/minute"],
    # What happened is remembered this long, with the addresses it came from.
    "EVENT_RETENTION": timedelta(days=180),
}

# Knox's own settings keep their meaning; where a project sets none, these hold instead of Knox's,
# which never end (AUTO_REFRESH_MAX_TTL) or last ten hours (TOKEN_TTL).
KNOX_DEFAULTS: Final[dict[str, Any]] = {
    "TOKEN_TTL": timedelta(minutes=15),
    "AUTO_REFRESH": True,
    "AUTO_REFRESH_MAX_TTL": timedelta(hours=1),
    "MIN_REFRESH_INTERVAL": 60,
    "AUTH_HEADER_PREFIX": "Bearer",
    "TOKEN_PREFIX": "axa_",
}


def own(name: str) -> Any:
    """Return the setting AUTHX[name], or its default."""
    return getattr(settings, "AUTHX", {}).get(name, DEFAULTS[name])


def knox(name: str) -> Any:
    """Return the setting REST_KNOX[name], or the default that authx gives it."""
    return getattr(settings, "REST_KNOX", {}).get(name, KNOX_DEFAULTS[name])


def secret_keys() -> list[str | bytes]:
    """Return the keys that sign: the one in use first, then those still accepted."""
    return [settings.SECRET_KEY, *settings.SECRET_KEY_FALLBACKS]


def access_token_ttl() -> timedelta:
    ttl: timedelta = knox("TOKEN_TTL")
    return ttl


def access_token_max_ttl() -> timedelta:
    ttl: timedelta = knox("AUTO_REFRESH_MAX_TTL")
    return ttl


def min_renewal_interval() -> timedelta:
    return timedelta(seconds=knox("MIN_REFRESH_INTERVAL"))


def refresh_token_ttl() -> timedelta:
    ttl: timedelta = own("REFRESH_TOKEN_TTL")
    return ttl


def session_ttl() -> timedelta:
    ttl: timedelta = own("SESSION_TTL")
    return ttl


def refresh_token_grace_period() -> timedelta:
    grace_period: timedelta = own("REFRESH_TOKEN_GRACE_PERIOD")
    return grace_period


def sweep_retention() -> timedelta:
    retention: timedelta = own("SWEEP_RETENTION")
    return retention


def event_retention() -> timedelta:
    retention: timedelta = own("EVENT_RETENTION")
    return retention
