"""Broker, rate limits and cache have a Redis database each: clearing one keeps the others."""

import pytest
from django.conf import settings as django_settings
from django.core.cache import cache
from redis import Redis

from backend.redis_databases import other_database, share_a_database
from tests.guessing import guess
from tests.phone import Phone

REDIS = "redis://:word@redis.example.com:6380"


@pytest.mark.parametrize(
    ("url", "other"),
    [
        (f"{REDIS}/0", f"{REDIS}/2"),
        (REDIS, f"{REDIS}/2"),
        (f"{REDIS}/5?ssl_ca_certs=/ca.pem", f"{REDIS}/7?ssl_ca_certs=/ca.pem"),
        ("valkeys://valkey.example.com/", "valkeys://valkey.example.com/2"),
        # Not by a number.
        (f"{REDIS}/name", f"{REDIS}/name"),
        ("redis+sentinel://a:1,b:2/main", "redis+sentinel://a:1,b:2/main"),
        # In the query.
        ("redis+unix:///run/redis.sock", "redis+unix:///run/redis.sock?db=2"),
        ("unix:///run/redis.sock?db=3", "unix:///run/redis.sock?db=5"),
        ("", ""),
    ],
)
def test_a_database_is_found_by_its_number(url: str, other: str) -> None:
    assert other_database(url, 2) == other


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("redis://a", "rediss://:word@a:6379/0", True),
        ("redis://a/1", "redis://a/0", False),
        ("redis://a:1", "redis://a:2", False),
        ("redis://a", "redis://b", False),
        ("unix:///run/r.sock?db=1", "redis+socket:///run/r.sock?virtual_host=1", True),
        ("unix:///run/r.sock?db=1", "redis+socket:///run/r.sock?", False),
        ("redis+sentinel://a:1,b:2/main", "redis+sentinel://a:1,b:2/main", False),
    ],
)
def test_a_shared_database_is_recognized(one: str, other: str, shared: bool) -> None:
    assert share_a_database(one, other) is shared


@pytest.mark.django_db
def test_clearing_the_cache_keeps_tasks_and_counts(phone: Phone) -> None:
    with Redis.from_url(django_settings.REDIS_URL) as broker:
        broker.lpush("a queue", "a task")
        guess("somebody")
        cache.set("key", "value")
        cache.clear()
        assert cache.get("key") is None
        assert broker.lrange("a queue", 0, -1) == [b"a task"]
        broker.delete("a queue")
    with Redis.from_url(django_settings.RATE_LIMITS_URL) as counts:
        assert list(counts.scan_iter("authx:*"))
