"""`python -m backend.healthcheck`: exit status 0 if the process of this container is alive."""

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from backend.operator_port import operator_port

TIMEOUT = 5  # seconds


def main() -> int:
    """Ask for /health/live on the operator's port of this machine."""
    connection = HTTPConnection("127.0.0.1", operator_port(), timeout=TIMEOUT)
    try:
        connection.request("GET", "/health/live")
        return int(connection.getresponse().status != HTTPStatus.OK)
    except (OSError, HTTPException):
        return 1


if __name__ == "__main__":
    sys.exit(main())
