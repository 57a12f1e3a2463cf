"""The issuer: what this server is called in OAuth, which clients compare letter by letter."""

import re
from typing import Any, Final

from django.http import HttpRequest

from authx import conf

# RFC 8414 section 2; plain http is for a server that nobody else can reach.
ISSUER: Final = re.compile(
    r"(https://[^\s/?#@]+|http://(localhost|127\.0\.0\.1|\[::1\])(:\d+)?)(/[^\s?#]*[^\s/?#])?"
)
RULE: Final = "Set an https URL (http on loopback) with no query, no fragment, no slash at its end."


def is_valid_issuer(name: Any) -> bool:
    """Say whether AUTHX["ISSUER"] may be that; "" leaves it to the request."""
    return isinstance(name, str) and bool(name == "" or ISSUER.fullmatch(name))


def issuer_for(request: HttpRequest) -> str:
    """Return the setting, or what a client has to call us that found us where it sent this."""
    name: str = conf.own("ISSUER")
    return name or f"{request.scheme}://{request.get_host()}"
