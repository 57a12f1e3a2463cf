"""System check: the functions of a project that settings name exist."""

from collections.abc import Iterator
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from authx import conf

HINTS: Final = {
    "USER_LANGUAGE": "it takes a user and returns a language code",
    "ACCOUNT_SCOPE": "it takes nothing and returns the name of a tenant",
    "SIGN_IN_POLICY": "it takes a user and a request, and raises if the user may not sign in",
    "LIFETIMES": "it takes a user and a Device, and returns authx.api.Lifetimes",
}


def check_functions(**_: Any) -> list[CheckMessage]:
    """Report dotted paths that name no function."""
    return list(_check_paths())


def _check_paths() -> Iterator[CheckMessage]:
    paths = {
        "USER_LANGUAGE": conf.authx_setting("USER_LANGUAGE"),
        "ACCOUNT_SCOPE": conf.authx_setting("ACCOUNT_SCOPE"),
        "SIGN_IN_POLICY": conf.authx_setting("SIGN_IN_POLICY"),
        "LIFETIMES": conf.authx_setting("LIFETIMES"),
    }
    for name, path in paths.items():
        if path is not None and not _is_function(path):
            yield Error(
                f"AUTHX[{name!r}] is {path!r}.",
                hint=f"Name a function by its dotted path; {HINTS[name]}.",
                id="authx.E067",
            )


def _is_function(path: Any) -> bool:
    try:
        return callable(import_string(path))
    except (ImportError, AttributeError, TypeError):
        return False
