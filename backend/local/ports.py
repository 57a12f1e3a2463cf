"""TCP ports on loopback."""

import errno
import socket

from backend.local.errors import StackError

HOST = "127.0.0.1"


def free_port() -> int:
    with socket.create_server((HOST, 0)) as server:
        port: int = server.getsockname()[1]
        return port


def require_free(port: int) -> None:
    """Raise StackError when a web server could not listen on the port."""
    try:
        socket.create_server((HOST, port)).close()
    except OverflowError:
        raise StackError(f"Port {port} does not exist: choose one from 1 to 65535.") from None
    except OSError as error:
        reason = "is busy" if error.errno == errno.EADDRINUSE else f"({error.strerror}) is no use"
        raise StackError(f"Port {port} {reason}: choose another, as in PORT=8001.") from None


def probe(port: int) -> None:
    """Raise OSError when nobody listens on the port."""
    socket.create_connection((HOST, port), timeout=1).close()
