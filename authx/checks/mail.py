"""System check: mail that nobody would get."""

from typing import Any, Final

from django.conf import settings
from django.core.checks import CheckMessage
from django.core.checks import Warning as Caution

UNREAD_BACKENDS: Final = frozenset(
    f"django.core.mail.backends.{name}.EmailBackend" for name in ("console", "dummy", "locmem")
)


def check_mail(**_: Any) -> list[CheckMessage]:
    """Insist on a mail server, in production (`check --deploy`)."""
    if settings.EMAIL_BACKEND not in UNREAD_BACKENDS:
        return []
    return [
        Caution(
            f"Nobody reads the mail of {settings.EMAIL_BACKEND}: no user hears of a new device.",
            hint="Set EMAIL_BACKEND (here: the variable EMAIL_URL) to a mail server.",
            id="authx.W030",
        )
    ]
