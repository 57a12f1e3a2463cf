"""One Redis URL, three of its databases.

Django's `cache.clear()` empties the whole database that it uses, and so would empty the queue of
the broker and the counts of the rate limits. Behind sentinels there is one database: name other
servers there, or never clear the cache.
"""

from typing import Final
from urllib.parse import parse_qsl, urlencode, urlsplit

# Those whose path is the number of a database, and those of a socket, with it in the query.
NUMBERED: Final = frozenset({"redis", "rediss", "valkey", "valkeys"})
SOCKETS: Final = frozenset({"unix", "redis+unix", "redis+socket", "valkey+unix"})


def other_database(url: str, distance: int) -> str:
    """Return the URL of the database with a number so much higher; others stay as they are."""
    parts = urlsplit(url)
    if parts.scheme in SOCKETS:
        query = dict(parse_qsl(parts.query))
        number = int(query.get("db", "0")) + distance
        # By hand: urlunsplit drops the "//" of an address without a host.
        base = f"{parts.scheme}://{parts.netloc}{parts.path}"
        return f"{base}?{urlencode(query | {'db': str(number)})}"
    number_in_path = parts.path.strip("/") or "0"
    if parts.scheme not in NUMBERED or not number_in_path.isdecimal():
        return url
    return parts._replace(path=f"/{int(number_in_path) + distance}").geturl()


def share_a_database(one: str, other: str) -> bool:
    """Return whether two URLs name the same database, as far as they say."""
    database = _database_of(one)
    return database is not None and database == _database_of(other)


def _database_of(url: str) -> tuple[object, ...] | None:
    parts = urlsplit(url)
    if parts.scheme in NUMBERED:
        return parts.hostname, parts.port or 6379, parts.path.strip("/") or "0"
    if parts.scheme in SOCKETS:
        query = dict(parse_qsl(parts.query))
        return parts.path, query.get("db") or query.get("virtual_host", "0")
    return None
