"""One Redis URL, three of its databases.

Django's `cache.clear()` empties the whole database that it uses, and so would empty the queue of
the broker and the counts of the rate limits.
"""

from typing import Final
from urllib.parse import urlsplit

# Those whose path is the number of a database.
NUMBERED: Final = frozenset({"redis", "rediss", "valkey", "valkeys"})


def other_database(url: str, distance: int) -> str:
    """Return the URL of the database with a number so much higher; others stay as they are."""
    parts = urlsplit(url)
    number = parts.path.strip("/") or "0"
    if parts.scheme not in NUMBERED or not number.isdecimal():
        return url
    return parts._replace(path=f"/{int(number) + distance}").geturl()


def share_a_database(one: str, other: str) -> bool:
    """Return whether two URLs name the same database."""
    first, second = urlsplit(one), urlsplit(other)
    return (first.hostname, first.port or 6379, first.path.strip("/") or "0", first.query) == (
        second.hostname,
        second.port or 6379,
        second.path.strip("/") or "0",
        second.query,
    )
