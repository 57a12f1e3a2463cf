"""System checks of the dates of an older authentication scheme."""

import re
from datetime import datetime
from typing import Any, Final

from django.core.checks import CheckMessage, Error
from django.core.checks import Warning as CheckWarning

from authx import conf

# Without the characters that would end a Link header early (RFC 8288 section 3).
LINK: Final = re.compile(r"(https://[!#-;=?-~]+)?")


def check_sunset(**_: Any) -> list[CheckMessage]:
    """Check that the dates are complete and in order."""
    dates = {name: conf.authx_setting(name) for name in ("DEPRECATED_AT", "SUNSET_AT")}
    found: list[CheckMessage] = [
        Error(
            f"AUTHX[{name!r}] is {date!r}.",
            hint="Set a datetime with a timezone, or None.",
            id="authx_sunset.E001",
        )
        for name, date in dates.items()
        if date is not None and not (isinstance(date, datetime) and date.utcoffset() is not None)
    ]
    given = [date for date in dates.values() if date is not None]
    if not found and given and (len(given) == 1 or given[0] > given[1]):
        found.append(
            Error(
                "The older scheme has no end, or ends before it is deprecated.",
                hint="Set AUTHX['DEPRECATED_AT'] and, no earlier, AUTHX['SUNSET_AT'] (RFC 9745).",
                id="authx_sunset.E002",
            )
        )
    if not given:
        found.append(
            CheckWarning(
                "The older scheme has no date, so its tokens are refused.",
                hint="Set AUTHX['SUNSET_AT'] and AUTHX['DEPRECATED_AT'], or remove the scheme and "
                "authx.contrib.sunset.",
                id="authx_sunset.W001",
            )
        )
    link = conf.authx_setting("SUNSET_LINK")
    if not isinstance(link, str) or not LINK.fullmatch(link):
        hint = "Set an https address, or nothing."
        found.append(Error(f"AUTHX['SUNSET_LINK'] is {link!r}.", hint=hint, id="authx_sunset.E003"))
    return found
