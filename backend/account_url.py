"""Where the pages of accounts are, for the links in mails, unless ACCOUNT_URL says it."""

import os
from collections.abc import Sequence


def account_url(hosts: Sequence[str], *, https: bool) -> str:
    """Return the URL at the first host; without TLS, at the port of the development server."""
    host = (hosts[0] if hosts else "localhost").removeprefix("*").removeprefix(".") or "localhost"
    if https:
        return f"https://{host}/account/"
    return f"http://localhost:{os.environ.get('PORT', '8000')}/account/"
