"""System checks of the links in mails."""

import re
from collections.abc import Iterator
from typing import Any, Final

from django.core.checks import CheckMessage, Error

from authx import conf

# Plain http only on loopback. A trailing slash, because the paths of the pages follow.
PAGES: Final = re.compile(
    r"(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)/([^\s?#]*/)?"
)


def check_account(**_: Any) -> list[CheckMessage]:
    """Check where the links in mails lead."""
    return [*_check_url(), *_check_link()]


def _check_url() -> Iterator[CheckMessage]:
    url = conf.authx_setting("ACCOUNT_URL")
    if not isinstance(url, str) or not PAGES.fullmatch(url):
        yield Error(
            f"AUTHX['ACCOUNT_URL'] is {url!r}.",
            hint="Set the https URL (http on loopback) at which you have mounted "
            "authx.contrib.account.urls, with a slash at its end: mails link to it.",
            id="authx_account.E001",
        )


def _check_link() -> Iterator[CheckMessage]:
    link = conf.authx_setting("RECOVERY_LINK")
    try:
        is_usable = link == "" or len({link.format(token=sample) for sample in "xy"}) > 1
    except (AttributeError, LookupError, ValueError):
        is_usable = False
    if not is_usable:
        yield Error(
            f"AUTHX['RECOVERY_LINK'] is {link!r}.",
            hint="Set a link that contains {token} and no other braces, such as "
            "'https://app.example.com/recover?token={token}', or '' for the page.",
            id="authx_account.E002",
        )
