"""System checks of what surrounds authx in production: keys, schemes and backends."""

from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from ipaddress import ip_address
from typing import Any, Final

from django.apps import apps
from django.conf import settings
from django.contrib.auth.backends import ModelBackend
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils.encoding import force_str
from django.utils.module_loading import import_string
from rest_framework.authentication import (
    BaseAuthentication,
    BasicAuthentication,
)
from rest_framework.settings import api_settings

from authx import conf

SENTRY: Final = "authx.contrib.sentry"
# Those of Django's security.W009, which only warns.
MIN_KEY_LENGTH: Final = 50
MIN_KEY_VARIETY: Final = 5


def is_loopback(host: str) -> bool:
    """Return whether a host is this machine; a socket file and an empty name are."""
    name = host.strip("[]")
    try:
        return ip_address(name).is_loopback
    except ValueError:
        return name in {"", "localhost"} or name.endswith(".localhost") or name.startswith("/")


def is_public() -> bool:
    """Return whether other machines can reach the service.

    Not by ALLOWED_HOSTS alone: behind a proxy, the host is often that of the proxy's connection.
    """
    return (
        not all(is_loopback(host) for host in settings.ALLOWED_HOSTS)
        or bool(api_settings.NUM_PROXIES)
        or settings.SECURE_PROXY_SSL_HEADER is not None
        or any(not is_loopback(str(one.get("HOST", ""))) for one in settings.DATABASES.values())
    )


def check_deployment(**_: Any) -> list[CheckMessage]:
    """Check what authx needs in production (`check --deploy`)."""
    checks = (
        _check_key_strength,
        _check_schemes,
        _check_backends,
        _check_error_reports,
    )
    return [message for check in checks for message in check()]


def _check_key_strength() -> Iterator[CheckMessage]:
    if not is_public():
        # Of a project that was just started; Django warns of its key (security.W009).
        return
    names = ["SECRET_KEY", *(f"SECRET_KEY_FALLBACKS[{n}]" for n in range(len(conf.secret_keys())))]
    for name, secret_key in zip(names, conf.secret_keys(), strict=False):
        text = force_str(secret_key, errors="replace")
        is_long = len(text) >= MIN_KEY_LENGTH and len(set(text)) >= MIN_KEY_VARIETY
        if not is_long or text.startswith("django-insecure-"):
            yield Error(
                f"{name} is weak: whoever guesses it can forge tokens.",
                hint=f"Use at least {MIN_KEY_LENGTH} random characters, without the prefix "
                "django-insecure- of startproject.",
                id="authx.E030",
            )


def _check_backends() -> Iterator[CheckMessage]:
    for name in settings.AUTHENTICATION_BACKENDS:
        # A subclass may have a check of its own, which is not known here.
        if import_string(name).authenticate is ModelBackend.authenticate:
            yield CheckWarning(
                f"{name} accepts passwords without a limit of attempts.",
                hint="Replace it by authx.passwords.backends.ModelBackend, or derive it from that.",
                id="authx.W004",
            )


def _check_schemes() -> Iterator[CheckMessage]:
    schemes: Any = api_settings.DEFAULT_AUTHENTICATION_CLASSES
    for scheme in schemes:
        if issubclass(scheme, BasicAuthentication):
            yield Error(
                f"{scheme.__name__} accepts a password with every request: it opens no session "
                "that could be ended, and does not ask SIGN_IN_POLICY.",
                hint="Remove it from REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'], and name it "
                "in the views that need it.",
                id="authx.E035",
            )
    yield from _check_first_scheme(schemes)


def _check_first_scheme(schemes: Sequence[Any]) -> Iterator[CheckMessage]:
    """Check that an app whose access token has expired gets the 401 that makes it refresh.

    DRF asks the first scheme of a view for a challenge, and responds with 403 if there is none.
    """
    # Not imported above: while apps are loaded, DRF's views cannot be.
    token_scheme: Any = import_string("authx.rest.authentication.TokenAuthentication")
    handler = import_string("authx.rest.exceptions.exception_handler")
    accepts_tokens = any(issubclass(scheme, token_scheme) for scheme in schemes)
    if not accepts_tokens or api_settings.EXCEPTION_HANDLER is handler:
        return
    if schemes[0].authenticate_header is BaseAuthentication.authenticate_header:
        # A handler of the project may do as that of authx does.
        yield CheckWarning(
            f"{schemes[0].__name__} comes first: an expired access token is refused with 403 "
            "instead of 401, and apps do not refresh.",
            hint="Put authx.rest.authentication.TokenAuthentication first in "
            "REST_FRAMEWORK['DEFAULT_AUTHENTICATION_CLASSES'].",
            id="authx.W022",
        )


def _check_error_reports() -> Iterator[CheckMessage]:
    if find_spec("sentry_sdk") is not None and not apps.is_installed(SENTRY):
        yield CheckWarning(
            "Sentry's SDK is installed, and its reports can contain tokens and passwords.",
            hint=f"Add '{SENTRY}' to INSTALLED_APPS, which removes them.",
            id="authx.W017",
        )
