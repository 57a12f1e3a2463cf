"""`python -m backend.healthcheck`: exit status 0 if the process of this container is alive.

With an argument, such as /health/ready or /metrics, it asks for that page. It prints the answer,
for people: the image has no curl.
"""

import sys
from http import HTTPStatus
from http.client import HTTPConnection, HTTPException

from backend.operator_port import operator_port

LIVE = "/health/live"
TIMEOUT = 5  # seconds
# For a page that asks the database, which may be frozen: DATABASE_TIMEOUT is shorter.
PATIENCE = 15  # seconds


def main(page: str = LIVE) -> int:
    """Ask for a page on the operator's port of this machine."""
    timeout = TIMEOUT if page == LIVE else PATIENCE
    connection = HTTPConnection("127.0.0.1", operator_port(), timeout=timeout)
    try:
        connection.request("GET", page)
        response = connection.getresponse()
        sys.stdout.write(response.read().decode())
    except (OSError, HTTPException) as error:
        sys.stdout.write(f"No answer: {error}\n")
        return 1
    return int(response.status != HTTPStatus.OK)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
