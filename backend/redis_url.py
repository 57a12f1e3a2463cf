"""One REDIS_URL, in the form that each of its clients understands: cache, counters and broker."""

from collections.abc import Sequence
from typing import Any, Final, NamedTuple
from urllib.parse import quote, unquote, urlsplit

UNIX: Final = ("unix", "redis+unix")
SENTINEL: Final = "redis+sentinel"
CLUSTER: Final = "redis+cluster"
CACHE: Final = "django.core.cache.backends.redis.RedisCache"


class Clients(NamedTuple):
    """What settings give to the clients of REDIS_URL."""

    cache: dict[str, Any]
    counters: str
    broker: str
    broker_options: dict[str, Any]


class Sentinels(NamedTuple):
    """Where sentinels listen, the name of what they watch, and the credentials of all servers."""

    locations: Sequence[tuple[str, int]]
    service: str
    credentials: dict[str, str]


def clients_of(url: str) -> Clients:
    """Return what the clients of a URL need; without a URL, each process counts for itself."""
    if not url:
        return Clients(
            {"BACKEND": "django.core.cache.backends.locmem.LocMemCache"}, "memory://", "", {}
        )
    scheme, _, rest = url.partition("://")
    cache = {"BACKEND": CACHE, "LOCATION": url}
    if scheme in UNIX:
        return Clients(
            cache | {"LOCATION": f"unix://{rest}"}, f"redis+unix://{rest}", *_socket(url)
        )
    if scheme == SENTINEL:
        pool = {"pool_class": "backend.sentinel.SentinelPool"}
        # A list, because Django would split the URL at its commas.
        return Clients(cache | {"LOCATION": [url], "OPTIONS": pool}, url, *_sentinel_broker(url))
    return Clients(cache, url, url, {})


def _socket(url: str) -> tuple[str, dict[str, Any]]:
    """Return the broker of a Unix socket, in the form of kombu."""
    parts = urlsplit(url)
    credentials = f"{parts.netloc.rpartition('@')[0]}@" if "@" in parts.netloc else ""
    query = parts.query.replace("db=", "virtual_host=", 1)
    return f"redis+socket://{credentials}{parts.path}?{query}", {}


def _sentinel_broker(url: str) -> tuple[str, dict[str, Any]]:
    """Return the broker behind sentinels, and kombu's options for it."""
    sentinels = parse_sentinels(url)
    named = sentinels.credentials
    user, password = (quote(named.get(name, ""), safe="") for name in ("username", "password"))
    userinfo = f"{user}:{password}@" if named else ""
    hosts = [f"sentinel://{userinfo}{host}:{port}" for host, port in sentinels.locations]
    return ";".join(hosts), {"master_name": sentinels.service, "sentinel_kwargs": named}


def parse_sentinels(url: str) -> Sentinels:
    """Read redis+sentinel://user:password@host:port,host:port/service; raises ValueError."""
    parts = urlsplit(url)
    userinfo, _, hosts = parts.netloc.rpartition("@")
    user, _, password = userinfo.partition(":")
    named = {"username": user, "password": password}
    credentials = {name: unquote(value) for name, value in named.items() if value}
    locations = [urlsplit(f"//{host}") for host in hosts.split(",")]
    return Sentinels(
        [(str(each.hostname), each.port or 26379) for each in locations],
        parts.path.strip("/"),
        credentials,
    )
