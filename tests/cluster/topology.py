"""The whole cluster: starts everything, and ends everything."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.cluster import valkey
from tests.cluster.application import WEB_NODES, WebNode, celery, environment, manage
from tests.cluster.balancer import Balancer
from tests.cluster.postgresql import Database, PgBouncer
from tests.cluster.programs import ROOT, Program
from tests.cluster.valkey import Valkey
from tests.ports import HOST

BEATS: Final = ("beat-1", "beat-2")
WORKERS: Final = ("worker-1", "worker-2")


class Cluster:
    """Everything in one new directory, on free ports of this machine.

    `variables` are those of the project's processes, `parameters` those of PostgreSQL.
    """

    def __init__(
        self,
        *,
        is_synchronous: bool,
        keep: bool,
        has_standby: bool = True,
        variables: Mapping[str, str] | None = None,
        parameters: Mapping[str, object] | None = None,
    ) -> None:
        self.keep = keep
        self.directory = Path(tempfile.mkdtemp(prefix="authx-cluster-"))
        # The database's user has to reach its own directories in it.
        self.directory.chmod(0o755)
        self.database = Database(
            self.directory,
            is_synchronous=is_synchronous,
            has_standby=has_standby,
            parameters=parameters or {},
        )
        self.valkey = Valkey(self.directory)
        self.balancer = Balancer(self.directory)
        self.pgbouncer = PgBouncer(self.directory, self.balancer.postgresql_port)
        self.environment = environment(
            self.directory,
            database_url=self.pgbouncer.url,
            valkey_url=f"redis://:{valkey.PASSWORD}@{HOST}:{self.balancer.valkey_port}/0",
        ) | dict(variables or {})
        names = [f"web-{number}" for number in range(1, WEB_NODES + 1)]
        self.web = [WebNode(self.directory, name, self.environment) for name in names]
        self.celery = [
            celery(self.directory, name, self.environment) for name in (*WORKERS, *BEATS)
        ]
        ports = [(node.port, node.operator_port) for node in self.web]
        self.balancer.configure(ports, self.database.nodes, self.valkey.nodes)

    def start(self, users: int) -> None:
        self.database.start()
        self.valkey.start()
        self.balancer.start()
        self.pgbouncer.start()
        # Without the schema change that a scenario makes later.
        manage(self.environment | {"DJANGO_SETTINGS_MODULE": "backend.settings"}, "migrate")
        create = [sys.executable, "-m", "tests.cluster.users", str(users)]
        subprocess.run(create, cwd=ROOT, env=os.environ | self.environment, check=True)
        for program in [*self.web, *self.celery]:
            program.start()

    def programs(self) -> list[Program]:
        return [
            *self.celery,
            *self.web,
            self.pgbouncer,
            self.balancer,
            *self.valkey.sentinels,
            *self.valkey.nodes,
            self.database.etcd,
        ]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        started = [one for one in self.programs() if hasattr(one, "process")]
        for program in started:
            program.kill()
        self.database.stop()
        for node in self.web:
            node.free_disk()
        if not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
