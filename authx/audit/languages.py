"""The language of a mail, and how it writes a time."""

from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING

from django.conf import settings
from django.utils import timezone
from django.utils.dateformat import format as format_date
from django.utils.module_loading import import_string
from django.utils.translation import get_language, get_supported_language_variant, pgettext

from authx import conf

if TYPE_CHECKING:
    from django.contrib.auth.models import User


def current_language() -> str:
    """Return the language of the current request: LANGUAGE_CODE without LocaleMiddleware."""
    return get_language() or settings.LANGUAGE_CODE


def mail_language(user: "User", caused_in: str) -> str:
    """Return the language of a mail: that of the user, else that of the request that caused it.

    A language that is not in LANGUAGES, or no longer, is the same as none.
    """
    path = conf.authx_setting("USER_LANGUAGE")
    known = import_string(path)(user) if path else ""
    for code in (known, caused_in):
        with suppress(LookupError):
            return get_supported_language_variant(code or "")
    return settings.LANGUAGE_CODE


def format_instant(instant: datetime) -> str:
    """Return date, time and time zone, as the active language writes them."""
    # Translators: letters as in Django's date filter; T is the time zone.
    pattern = pgettext("date and time", "j F Y, H:i T")
    return format_date(timezone.localtime(instant), pattern)
