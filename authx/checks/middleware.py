"""System checks of MIDDLEWARE, accepted is whatever order works; and of the session engine."""

from importlib import import_module
from itertools import takewhile
from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.utils.module_loading import import_string

# By name: their module would import DRF's views when Django starts, which is too early.
CONTEXT: Final = "authx.rest.middleware.RequestContextMiddleware"
API: Final = "authx.rest.middleware.APIMiddleware"
SESSIONS: Final = "django.contrib.sessions.middleware.SessionMiddleware"
STORE: Final = "authx.sessions.cookies.SessionStore"
# Where Django has its middleware; `django.utils` has a base class of those of other packages.
DJANGO: Final = ("django.middleware.", "django.contrib.")
# These only add to a response.
PASSIVE: Final = (
    "django.middleware.gzip",
    "django.middleware.clickjacking",
    "authx.contrib.metrics.middleware",
    # The base class of both.
    "authx.rest.middleware.Middleware",
)


def check_middleware(**_: Any) -> list[CheckMessage]:
    """Check the place of RequestContextMiddleware."""
    # Those of other packages may come first: OpenTelemetry and django-tenants put theirs there.
    if _is_early(CONTEXT, (*DJANGO, "authx.")):
        return []
    return [
        Error(
            f"{CONTEXT} is not before every middleware of Django and authx.",
            hint="Put it first in MIDDLEWARE: a response before it would have no request id.",
            id="authx.E040",
        )
    ]


def check_api_middleware(**_: Any) -> list[CheckMessage]:
    """Check the place of APIMiddleware (`check --deploy`)."""
    if _is_early(API, DJANGO):
        return []
    return [
        CheckWarning(
            f"{API} is not before every middleware of Django.",
            hint="Put it there: SecurityMiddleware redirects an app to https that has sent its "
            "token unencrypted, and SessionMiddleware reads the cookies that it would remove.",
            id="authx.W016",
        )
    ]


def check_session_engine(**_: Any) -> list[CheckMessage]:
    """Check that a browser's session ends with its device session, if there are sessions."""
    if not any(SESSIONS in _names_of(name) for name in settings.MIDDLEWARE):
        return []
    # Not imported above: it imports models, as any engine may.
    store = import_module(settings.SESSION_ENGINE).SessionStore
    if issubclass(store, import_string(STORE)):
        return []
    return [
        CheckWarning(
            "Browsers that are signed in by a cookie, such as to the admin, stay signed in when "
            "a user ends all sessions, and a database dump opens their sessions.",
            hint="Set SESSION_ENGINE = 'authx.sessions.cookies'.",
            id="authx.W023",
        )
    ]


def _is_early(wanted: str, packages: tuple[str, ...]) -> bool:
    """Return whether a middleware, or a subclass, comes before the active ones of packages."""
    loaded = [_names_of(name) for name in settings.MIDDLEWARE]
    before = list(takewhile(lambda names: wanted not in names, loaded))
    return len(before) < len(loaded) and not any(_is_active(one, packages) for one in before)


def _is_active(names: list[str], packages: tuple[str, ...]) -> bool:
    return any(one.startswith(packages) and not one.startswith(PASSIVE) for one in names)


def _names_of(name: str) -> list[str]:
    """Return the names of the class of a middleware and its bases; none for a function."""
    bases = getattr(import_string(name), "__mro__", ())
    return [f"{base.__module__}.{base.__qualname__}" for base in bases]
