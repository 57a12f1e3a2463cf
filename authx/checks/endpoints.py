"""System checks of where a project has mounted authx."""

import re
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

from django.apps import apps
from django.conf import settings
from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning
from django.core.management import find_commands, get_commands
from django.utils.module_loading import import_string

from authx import conf


def check_endpoints(**_: Any) -> list[CheckMessage]:
    """Check what a project and authx share: paths of the API, and names of commands."""
    return [*_check_api_paths(), *_check_commands(), *_check_recent_sign_in()]


def _check_api_paths() -> Iterator[CheckMessage]:
    paths = list(_token_paths())
    if not paths:
        yield CheckWarning(
            "No URL of authx was found, so AUTHX['API_PATHS'] cannot be compared with them.",
            hint="Include authx.urls in ROOT_URLCONF. If another URLconf or none has them, silence "
            "this check, and let API_PATHS match the paths that take tokens.",
            id="authx.W018",
        )
    try:
        pattern = re.compile(conf.authx_setting("API_PATHS"))
    except (re.error, TypeError):
        fault = "is not a regular expression"
    else:
        # As APIMiddleware sees a path: without the prefix of the whole project.
        unmatched = [path for path in paths if not pattern.match(path)]
        if not unmatched:
            return
        fault = f"does not match {', '.join(unmatched)}"
    yield Error(
        f"AUTHX['API_PATHS'] {fault}.",
        hint="Set it to match the paths of the API, for example r'^/users/'.",
        id="authx.E041",
    )


def _token_paths() -> Iterator[str]:
    """Yield the paths that take tokens or passwords; the metadata are public."""
    if getattr(settings, "ROOT_URLCONF", None):
        # Not imported before: DRF's views import what a project names in its settings, which may
        # import views of DRF itself.
        find_endpoints = import_string("authx.rest.endpoints.find_endpoints")
        for endpoint in find_endpoints():
            if endpoint.takes_tokens:
                yield endpoint.path


def _check_recent_sign_in() -> Iterator[CheckMessage]:
    asked = conf.authx_setting("RECENT_SIGN_IN")
    # Not imported before, like the endpoints.
    known = {pattern.name for pattern in import_string("authx.urls.urlpatterns")}
    is_dict = isinstance(asked, dict)
    if not is_dict or not all(
        name in known and isinstance(age, timedelta) and age > timedelta(0)
        for name, age in asked.items()
    ):
        yield Error(
            f"AUTHX['RECENT_SIGN_IN'] is {asked!r}.",
            hint="Set a dict from names of endpoints to positive timedeltas, such as "
            f"{{'logout-all': timedelta(minutes=10)}}; the names are {', '.join(sorted(known))}.",
            id="authx.E081",
        )


def _check_commands() -> Iterator[CheckMessage]:
    known = get_commands()
    for app in apps.get_app_configs():
        if app.name.partition(".")[0] == "authx":
            for command in find_commands(f"{app.path}/management"):
                if (other := known[command]) != app.name:
                    yield CheckWarning(
                        f"The command {command} of {app.name} is hidden by that of {other}.",
                        hint=f"Put {app.name} first in INSTALLED_APPS, or rename your command.",
                        id="authx.W019",
                    )
