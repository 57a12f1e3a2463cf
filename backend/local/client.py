"""Asks the API over HTTP, with nothing but the standard library."""

import json
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException, HTTPSConnection
from typing import Any
from urllib.parse import urlsplit

TIMEOUT = 30  # seconds


@dataclass(frozen=True)
class ErrorResponse:
    """A status and the decoded body."""

    status: int
    body: Any


def connect(url: str) -> HTTPConnection:
    parts = urlsplit(url)
    scheme = HTTPSConnection if parts.scheme == "https" else HTTPConnection
    return scheme(parts.netloc, timeout=TIMEOUT)


def ask(url: str, method: str, path: str, body: str = "", **headers: str) -> ErrorResponse:
    """Send one request; raise OSError when no proper answer comes."""
    connection = connect(url)
    try:
        connection.request(method, path, body or None, headers)
        response = connection.getresponse()
        return ErrorResponse(response.status, json.loads(response.read() or "null"))
    except (HTTPException, ValueError) as error:
        raise ConnectionError(f"{method} {path} is not answered properly: {error!r}") from error
    finally:
        connection.close()
