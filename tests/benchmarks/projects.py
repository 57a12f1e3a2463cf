"""The measured projects: each is installed as its own documentation says, and nothing else is.

Every project runs in a process of its own. Knox can be swapped one way only, and signal receivers
of one app (authx, for example, listens to every sign-in) would slow all the others down.
"""

from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any, Final

from authx import conf
from backend import settings as backend

# No limit is ever reached, but each is counted, because that is part of what a request costs.
RATES: Final = {name: ["1000000/minute"] for name in conf.DEFAULTS if "RATES" in name}
# Without the paths of the backend's own pages, the default is `^/users/`.
AUTHX: Final = {name: value for name, value in backend.AUTHX.items() if name != "API_PATHS"}


@dataclass(frozen=True)
class Project:
    """What a project adds to the settings that all share."""

    apps: tuple[str, ...]
    middleware: tuple[str, ...] = ()
    settings: dict[str, Any] = field(default_factory=dict)
    # The commands that its process accepts.
    commands: str = "tests.benchmarks.commands.Commands"


PROJECTS: Final = {
    "authx": Project(
        apps=("knox", "authx"),
        middleware=tuple(name for name in backend.MIDDLEWARE if name.startswith("authx.")),
        settings={
            "AUTHENTICATION_BACKENDS": backend.AUTHENTICATION_BACKENDS,
            "KNOX_TOKEN_MODEL": backend.KNOX_TOKEN_MODEL,
            "MIGRATION_MODULES": backend.MIGRATION_MODULES,
            "REST_KNOX": backend.REST_KNOX,
            "AUTHX": AUTHX | RATES,
        },
        commands="tests.benchmarks.session_commands.SessionCommands",
    ),
    "knox": Project(apps=("knox",)),
    "simplejwt": Project(
        apps=("rest_framework_simplejwt.token_blacklist",),
        settings={"SIMPLE_JWT": {"ROTATE_REFRESH_TOKENS": True, "BLACKLIST_AFTER_ROTATION": True}},
    ),
    "toolkit": Project(
        apps=("oauth2_provider",),
        settings={
            "OAUTH2_PROVIDER": {
                "ROTATE_REFRESH_TOKEN": True,
                "REFRESH_TOKEN_REUSE_PROTECTION": True,
                "REFRESH_TOKEN_EXPIRE_SECONDS": timedelta(days=30),
                # Digests instead of tokens at rest, as authx and Knox have it.
                "COMPLIANT_BCP_RFC9700_TOKEN_STORAGE": True,
            }
        },
    ),
    "allauth": Project(
        apps=(
            "django.contrib.sessions",
            "django.contrib.messages",
            "allauth",
            "allauth.account",
            "allauth.usersessions",
            "allauth.headless",
        ),
        middleware=(
            "django.contrib.sessions.middleware.SessionMiddleware",
            "django.contrib.auth.middleware.AuthenticationMiddleware",
            "allauth.account.middleware.AccountMiddleware",
        ),
        settings={
            "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
            "ACCOUNT_LOGIN_METHODS": {"username"},
            "ACCOUNT_EMAIL_VERIFICATION": "none",
            "HEADLESS_ONLY": True,
            "HEADLESS_CLIENTS": ("app",),
            "HEADLESS_TOKEN_STRATEGY": "allauth.headless.tokens.strategies.jwt.JWTTokenStrategy",
            # As SimpleJWT signs; the default RS256 would cost it a millisecond for each token.
            "HEADLESS_JWT_ALGORITHM": "HS256",
        },
    ),
}
