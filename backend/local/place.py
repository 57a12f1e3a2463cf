"""Where the local stack keeps what outlives a start, and who may use it at a time."""

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from environs import FileAwareEnv

from backend.local.errors import StackError
from backend.secret_file import get_or_create_secret

env = FileAwareEnv()

BASE_DIR = Path(__file__).resolve().parents[2]
# The same place as in backend.settings, which cannot be imported before its servers are chosen.
LOCAL_DIR = env.path("LOCAL_DIR", BASE_DIR / ".local").resolve()


def write_private(path: Path, text: str) -> None:
    """Write a file that its owner alone can read, whole or not at all."""
    fresh = path.with_name(f"{path.name}.new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)
    fresh.replace(path)


def demo_password() -> str:
    return get_or_create_secret(LOCAL_DIR / "demo-password", length=16)


@contextmanager
def only_stack() -> Iterator[None]:
    """Keep LOCAL_DIR to the caller; raise StackError when another stack has it."""
    LOCAL_DIR.mkdir(parents=True, exist_ok=True)
    with (LOCAL_DIR / "lock").open("w") as lock:
        try:
            # The kernel lets go of it with the process: no stale file stops the next start.
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StackError(f"A stack already runs in {LOCAL_DIR}: stop it first.") from None
        yield
