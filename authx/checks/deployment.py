"""System checks of what surrounds authx: middleware, and in production host, keys and defaults."""

import re
from collections.abc import Callable, Iterator
from ipaddress import ip_address
from typing import Any, Final

from django.conf import settings
from django.contrib.auth.password_validation import (
    MinimumLengthValidator,
    get_password_validators,
)
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as Caution
from django.urls import NoReverseMatch, get_script_prefix, reverse
from django.utils.encoding import force_str
from rest_framework.authentication import BasicAuthentication, SessionAuthentication
from rest_framework.permissions import AllowAny
from rest_framework.settings import api_settings

from authx import conf

CONTEXT: Final = "authx.rest.middleware.RequestContextMiddleware"
API: Final = "authx.rest.middleware.APIMiddleware"
SECURITY: Final = "django.middleware.security.SecurityMiddleware"
# As Django's own security.W009 has it, which only warns.
MIN_KEY_LENGTH: Final = 50
MIN_KEY_VARIETY: Final = 5
# NIST SP 800-63B-4 section 3.1.1.2, where the password is the only factor.
MIN_PASSWORD_LENGTH: Final = 15
PER_PROCESS_CACHES: Final = frozenset({"LocMemCache", "DummyCache"})
SAFE_SSL_MODES: Final = frozenset({"require", "verify-ca", "verify-full"})


def check_wiring(**_: Any) -> list[CheckMessage]:
    """Run the checks that hold on any machine."""
    return [message for check in (_check_context, _check_api_paths) for message in check()]


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Run the checks that hold where other users's sessions are (`check --deploy`)."""
    return [message for check in DEPLOYMENT_CHECKS for message in check()]


def is_loopback(host: str) -> bool:
    """Say whether a host is this very machine; a socket file and an empty name are."""
    name = host.strip("[]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name in {"", "localhost"} or name.endswith(".localhost") or name.startswith("/")


def is_public() -> bool:
    """Say whether anybody but this machine is let in."""
    return not all(is_loopback(host) for host in settings.ALLOWED_HOSTS)


def _check_context() -> Iterator[CheckMessage]:
    if list(settings.MIDDLEWARE)[:1] != [CONTEXT]:
        yield Error(
            f"{CONTEXT} is not the first middleware.",
            hint="Put it first in MIDDLEWARE: answers before it would have no number.",
            id="authx.E040",
        )


def _check_api_paths() -> Iterator[CheckMessage]:
    try:
        paths = re.compile(conf.own("API_PATHS"))
        # APIMiddleware sees a path without the prefix under which the project itself is mounted.
        sign_in = "/" + reverse("authx:login").removeprefix(get_script_prefix())
    except NoReverseMatch:
        return
    except (re.error, TypeError):
        fault = "is no regular expression"
    else:
        if paths.match(sign_in):
            return
        fault = f"leaves {sign_in} out"
    yield Error(
        f"AUTHX['API_PATHS'] {fault}.",
        hint="Let it match the paths of the API, as in r'^/users/'.",
        id="authx.E041",
    )


def _check_keys() -> Iterator[CheckMessage]:
    names = ["SECRET_KEY", *(f"SECRET_KEY_FALLBACKS[{n}]" for n in range(len(conf.secret_keys())))]
    for name, secret_key in zip(names, conf.secret_keys(), strict=False):
        text = force_str(secret_key, errors="replace")
        is_long = len(text) >= MIN_KEY_LENGTH and len(set(text)) >= MIN_KEY_VARIETY
        if not is_long or text.startswith("django-insecure-"):
            yield Error(
                f"{name} is weak: whoever guesses it mints tokens.",
                hint=f"Make one of {MIN_KEY_LENGTH} random characters or more.",
                id="authx.E030",
            )


def _check_host() -> Iterator[CheckMessage]:
    if settings.DEBUG and is_public():
        yield Error(
            "DEBUG is on, and ALLOWED_HOSTS lets strangers in.",
            hint="Switch DEBUG off: its pages show settings, code and what users sent.",
            id="authx.E031",
        )
    if not settings.SECURE_SSL_REDIRECT and is_public():
        yield Error(
            "Plain http is served, and ALLOWED_HOSTS lets strangers in.",
            hint="Set SECURE_SSL_REDIRECT, or silence this where a proxy refuses plain http.",
            id="authx.E032",
        )


def _check_api_middleware() -> Iterator[CheckMessage]:
    before_security = [*settings.MIDDLEWARE, SECURITY]
    if API not in before_security[: before_security.index(SECURITY)]:
        yield Caution(
            f"{API} does not stand before {SECURITY}.",
            hint="Put it there: an app that is redirected to https sent its token in the clear.",
            id="authx.W016",
        )


def _check_cache() -> Iterator[CheckMessage]:
    backend = settings.CACHES["default"]["BACKEND"].rpartition(".")[2]
    if backend in PER_PROCESS_CACHES and is_public():
        yield Error(
            f"The default cache is {backend}, which each process has for itself.",
            hint="Set CACHES to a server that all share: what a project counts there, as DRF's own "
            "throttles do, would count once for each process.",
            id="authx.E033",
        )


def _check_permissions() -> Iterator[CheckMessage]:
    classes: Any = api_settings.DEFAULT_PERMISSION_CLASSES
    if not classes or AllowAny in classes:
        yield Error(
            "Views are open to everybody unless they say otherwise.",
            hint="Set REST_FRAMEWORK['DEFAULT_PERMISSION_CLASSES'] to IsAuthenticated.",
            id="authx.E034",
        )


def _check_schemes() -> Iterator[CheckMessage]:
    ambient = (BasicAuthentication, SessionAuthentication)
    schemes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    for scheme in schemes:
        if issubclass(scheme, ambient):
            yield Error(
                f"{scheme.__name__} lets users into the API beside their device sessions.",
                hint="Leave authx.rest.authentication.TokenAuthentication alone in "
                "REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'].",
                id="authx.E035",
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
            id="authx.E036",
        )


def _check_database_links() -> Iterator[CheckMessage]:
    for alias, database in settings.DATABASES.items():
        is_encrypted = database.get("OPTIONS", {}).get("sslmode") in SAFE_SSL_MODES
        is_far = not is_loopback(str(database.get("HOST", "")))
        if database["ENGINE"].endswith("postgresql") and is_far and not is_encrypted:
            yield Caution(
                f"DATABASES[{alias!r}] is reached over a network without TLS for certain.",
                hint="Add sslmode=verify-full (or require) to its options or its URL.",
                id="authx.W015",
            )


DEPLOYMENT_CHECKS: Final[tuple[Callable[[], Iterator[CheckMessage]], ...]] = (
    _check_keys,
    _check_host,
    _check_cache,
    _check_permissions,
    _check_schemes,
    _check_passwords,
    _check_api_middleware,
    _check_database_links,
)
