"""System check: the function that knows the language of a user exists."""

from typing import Any

from django.core.checks import CheckMessage, Error
from django.utils.module_loading import import_string

from authx import conf


def check_user_language(**_: Any) -> list[CheckMessage]:
    """Report a USER_LANGUAGE that names no function: no mail could be sent."""
    path = conf.authx_setting("USER_LANGUAGE")
    if path is None or _is_function(path):
        return []
    return [
        Error(
            f"AUTHX['USER_LANGUAGE'] is {path!r}.",
            hint="Name a function by its dotted path; it takes a user and returns a language code.",
            id="authx.E067",
        )
    ]


def _is_function(path: Any) -> bool:
    try:
        return callable(import_string(path))
    except (ImportError, AttributeError):
        return False
