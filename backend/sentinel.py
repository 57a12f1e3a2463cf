"""Lets Django's Redis cache find its server through sentinels."""

from typing import Any

from redis import ConnectionPool, sentinel

from backend.redis_url import parse_sentinels


class SentinelPool:
    """Stands for the class of the pool in the options of Django's RedisCache."""

    @classmethod
    def from_url(cls, url: str, **options: Any) -> ConnectionPool:
        """Return the connections to the primary of a redis+sentinel:// URL."""
        locations, service, credentials = parse_sentinels(url)
        # Without types in redis-py.
        untyped: Any = sentinel.Sentinel
        asked = untyped(locations, sentinel_kwargs=credentials, **credentials, **options)
        pool: ConnectionPool = asked.master_for(service).connection_pool
        return pool
