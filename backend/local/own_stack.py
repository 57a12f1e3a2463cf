"""A stack for one demo: in a directory of its own, with short times, gone afterwards."""

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from subprocess import STDOUT, Popen

import psycopg

from backend.local import place, ports, postgres, welcome
from backend.local.errors import StackError
from backend.local.launch import wait_until
from backend.local.story import Story

GRACE_PERIOD = 2  # seconds
# Short enough to watch a token outlive its own time, and a sweep come by itself.
SHORT_TIMES = {
    "ACCESS_TOKEN_TTL": "3s",
    "ACCESS_TOKEN_MIN_RENEWAL_INTERVAL": "0",
    "REFRESH_TOKEN_GRACE_PERIOD": f"{GRACE_PERIOD}s",
    "SWEEP_INTERVAL": "1s",
    "SWEEP_RETENTION": "0s",
}
# What else this shell is set up for: the story is told of the project as it comes.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "SECRET_KEY", "ALLOWED_HOSTS", "RETRY")
ROWS = "SELECT count(*) FROM authx_devicesession"
STOP_PATIENCE = 15  # seconds


class StartingError(Exception):
    """Raised while the stack has not yet said that everything runs."""


@contextmanager
def own_stack() -> Iterator[Story]:
    """Run a stack while the story is told; keep its log if that does not end well."""
    local_dir = Path(tempfile.mkdtemp(prefix="demo-"))
    log = local_dir.with_suffix(".log")
    port = ports.free_port()
    is_log_of_use = False
    try:
        with running(port, local_dir, log):
            database = postgres.url(postgres.socket_dir_of(local_dir / "postgres"))
            password = (local_dir / "demo-password").read_text()
            url = f"http://{ports.HOST}:{port}"
            yield Story(url, password, lambda: count_rows(database), GRACE_PERIOD)
    except Exception:
        is_log_of_use = True
        print(f"The log of the stack: {log}", file=sys.stderr)
        raise
    finally:
        shutil.rmtree(local_dir)
        if not is_log_of_use:
            log.unlink()


@contextmanager
def running(port: int, local_dir: Path, log: Path) -> Iterator[None]:
    inherited = {name: value for name, value in os.environ.items() if name not in FOREIGN}
    with log.open("w") as output:
        stack = Popen(  # nosec B603 # the project's own command
            [sys.executable, "-m", "backend.local", "run"],
            cwd=place.BASE_DIR,
            env=inherited | SHORT_TIMES | {"LOCAL_DIR": str(local_dir), "PORT": str(port)},
            stdout=output,
            stderr=STDOUT,
            # A Ctrl-C is for the demo alone, which then stops the stack.
            start_new_session=True,
        )
    try:
        wait_until(lambda: require_ready(stack, log), refusal=StartingError, who="The stack")
        yield
    finally:
        stack.terminate()
        stack.wait(STOP_PATIENCE)


def require_ready(stack: Popen[bytes], log: Path) -> None:
    """Raise StackError when the stack has ended, StartingError while it only starts."""
    lines = log.read_text()
    if stack.poll() is not None:
        raise StackError(f"The stack did not start: {lines.strip().rpartition(chr(10))[2]}")
    if welcome.READY not in lines:
        raise StartingError("it still starts")


def count_rows(database: str) -> int:
    with psycopg.connect(database) as connection:
        row = connection.execute(ROWS).fetchone()
    return row[0] if row else 0
