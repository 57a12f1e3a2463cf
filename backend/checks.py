"""System checks of the policy of this deployment; those of authx itself are in authx.checks."""

from collections.abc import Callable, Iterator
from email.utils import parseaddr
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.hashers import get_hasher
from django.contrib.auth.password_validation import (
    MinimumLengthValidator,
    get_password_validators,
)
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.db.utils import load_backend
from rest_framework.permissions import AllowAny
from rest_framework.settings import api_settings

from authx.checks.project import is_loopback, is_public
from backend.redis_databases import share_a_database
from backend.redis_url import CLUSTER

# NIST SP 800-63B-4 section 3.1.1.2, where the password is the only factor.
MIN_PASSWORD_LENGTH: Final = 15
PER_PROCESS_CACHES: Final = frozenset({"LocMemCache", "DummyCache"})
SAFE_SSL_MODES: Final = frozenset({"require", "verify-ca", "verify-full"})
SLOW_HASHES: Final = frozenset({"argon2", "scrypt", "bcrypt_sha256", "pbkdf2_sha256"})
UNREAD_MAIL_BACKENDS: Final = frozenset(
    f"django.core.mail.backends.{name}.EmailBackend"
    for name in ("console", "dummy", "filebased", "locmem")
)


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Check the policy of a deployment (`check --deploy`, and every start of a server)."""
    return [message for check in CHECKS for message in check()]


def _check_host() -> Iterator[CheckMessage]:
    if settings.DEBUG and is_public():
        yield Error(
            "DEBUG is on, and ALLOWED_HOSTS admits other machines.",
            hint="Turn DEBUG off: its pages show settings, code and request bodies.",
            id="backend.E001",
        )
    if not settings.SECURE_SSL_REDIRECT and is_public():
        yield Error(
            "Plain http is served, and ALLOWED_HOSTS admits other machines.",
            hint="Set SECURE_SSL_REDIRECT, or silence this where a proxy refuses plain http.",
            id="backend.E002",
        )


def _check_cache() -> Iterator[CheckMessage]:
    backend = settings.CACHES["default"]["BACKEND"].rpartition(".")[2]
    if backend in PER_PROCESS_CACHES and is_public():
        yield Error(
            f"The default cache is {backend}, which processes do not share.",
            hint="Set CACHES to a shared server: DRF's own throttles count there, and would count "
            "separately in each process.",
            id="backend.E003",
        )


def _check_redis() -> Iterator[CheckMessage]:
    others = {
        "the broker": getattr(settings, "CELERY_BROKER_URL", ""),
        "the rate limits": settings.AUTHX["THROTTLE_STORAGE_URL"],
    }
    # A list behind sentinels.
    location = str(settings.CACHES["default"].get("LOCATION") or "")
    for name, url in others.items():
        # The URLs stay out of the message: they may carry a password.
        if url and location and share_a_database(location, str(url)):
            yield Error(
                f"cache.clear() empties the Redis database that the cache shares with {name}.",
                hint="Give CACHES a database of its own (here: the variable CACHE_URL).",
                id="backend.E006",
            )
    if settings.CELERY_BROKER_URL.startswith(CLUSTER):
        yield Error(
            "REDIS_URL names a Redis Cluster, which can be neither Celery's broker nor Django's "
            "cache.",
            hint="Name a single server or sentinels. Only rate limits can count in a cluster: a "
            "project of your own sets AUTHX['THROTTLE_STORAGE_URL'].",
            id="backend.E007",
        )


def _check_permissions() -> Iterator[CheckMessage]:
    classes: Any = api_settings.DEFAULT_PERMISSION_CLASSES
    if not classes or AllowAny in classes:
        yield Error(
            "Views are open to anyone by default.",
            hint="Set REST_FRAMEWORK['DEFAULT_PERMISSION_CLASSES'] to IsAuthenticated.",
            id="backend.E004",
        )


def _check_passwords() -> Iterator[CheckMessage]:
    configured: Any = settings.AUTH_PASSWORD_VALIDATORS
    validators = get_password_validators(configured)
    lengths = [one.min_length for one in validators if isinstance(one, MinimumLengthValidator)]
    if max(lengths, default=0) < MIN_PASSWORD_LENGTH:
        yield Error(
            f"Passwords may be shorter than {MIN_PASSWORD_LENGTH} characters.",
            hint=f"Give MinimumLengthValidator min_length={MIN_PASSWORD_LENGTH} in "
            "AUTH_PASSWORD_VALIDATORS: a password is the only factor here.",
            id="backend.E005",
        )


def _check_hashing() -> Iterator[CheckMessage]:
    if (algorithm := get_hasher().algorithm) not in SLOW_HASHES:
        yield CheckWarning(
            f"Passwords are hashed by {algorithm}, which is a fast hash.",
            hint="Put BackgroundArgon2PasswordHasher first in PASSWORD_HASHERS.",
            id="backend.W001",
        )


def _check_database_links() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        options = database.get("OPTIONS", {})
        is_encrypted = options.get("sslmode") in SAFE_SSL_MODES
        # The file of a service may name any host, which is not known here.
        is_far = not is_loopback(str(database.get("HOST", ""))) or "service" in options
        is_postgresql = load_backend(database["ENGINE"]).DatabaseWrapper.vendor == "postgresql"
        if is_postgresql and is_far and not is_encrypted:
            yield CheckWarning(
                f"DATABASES[{alias!r}] may be reached over a network without TLS.",
                hint="Add sslmode=verify-full (or require) to its options or its URL.",
                id="backend.W002",
            )


def _check_mail() -> Iterator[CheckMessage]:
    if settings.EMAIL_BACKEND in UNREAD_MAIL_BACKENDS:
        yield CheckWarning(
            f"{settings.EMAIL_BACKEND} delivers no mail: no user is notified of a new device.",
            hint="Set EMAIL_BACKEND (here: the variable EMAIL_URL) to a mail server.",
            id="backend.W003",
        )
    elif is_public() and is_loopback(parseaddr(settings.DEFAULT_FROM_EMAIL)[1].rpartition("@")[2]):
        yield CheckWarning(
            f"Mail is sent from {settings.DEFAULT_FROM_EMAIL}, which many mail servers refuse.",
            hint="Set DEFAULT_FROM_EMAIL to an address of your domain.",
            id="backend.W004",
        )


CHECKS: Final[tuple[Callable[[], Iterator[CheckMessage]], ...]] = (
    _check_host,
    _check_cache,
    _check_redis,
    _check_permissions,
    _check_passwords,
    _check_hashing,
    _check_database_links,
    _check_mail,
)
