"""Networks between a client and a server: one records, one loses responses, one delays."""

import random  # noqa: TID251 -- delays that a seed repeats, no secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TypeVar
from urllib.parse import urlsplit

from tests.ports import HOST

# A connection's own headers are not passed on (RFC 9110 section 7.6.1).
HOP_BY_HOP = frozenset({"Connection", "Transfer-Encoding"})


@dataclass(frozen=True)
class Sent:
    """A request as it went through."""

    path: str
    headers: Message
    body: bytes


class Network(ThreadingHTTPServer):
    """Passes requests on to a server, and records them."""

    daemon_threads = True
    # Hundreds of requests arrive at the same moment; a refused connection would be another test.
    request_queue_size = 1024

    def __init__(self, url: str) -> None:
        super().__init__((HOST, 0), _Connection)
        self.server_netloc = urlsplit(url).netloc
        self.sent: list[Sent] = []
        # Seconds; tells a slow machine from a broken promise.
        self.slowest_response = 0.0

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"

    def travel_time(self) -> float:
        """Return how many seconds the next message takes, in either direction."""
        return 0.0

    def loses_response(self, sent: Sent) -> bool:
        """Say whether the connection breaks after the server has responded."""
        return False


class LossyNetwork(Network):
    """Loses the first response to each refresh token."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self.lost: set[bytes] = set()

    def loses_response(self, sent: Sent) -> bool:
        if sent.path != "/users/token" or sent.body in self.lost:
            return False
        self.lost.add(sent.body)
        return True


class DelayingNetwork(Network):
    """Delays each request and each response at random, so that they overtake each other."""

    def __init__(self, url: str, *, max_delay: float, seed: int) -> None:
        super().__init__(url)
        self.max_delay = max_delay
        self.random = random.Random(seed)

    def travel_time(self) -> float:
        return self.random.uniform(0, self.max_delay)


class _Connection(BaseHTTPRequestHandler):
    server: Network

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = Sent(self.path, self.headers, body)
        self.server.sent.append(sent)
        time.sleep(self.server.travel_time())
        response, content = self._forward(sent)
        time.sleep(self.server.travel_time())
        if self.server.loses_response(sent):
            return
        self.send_response_only(response.status)
        for name, value in response.getheaders():
            if name not in HOP_BY_HOP:
                self.send_header(name, value)
        # A client that has given up is no failure of this network.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_POST  # noqa: N815 -- the base class's name

    def _forward(self, sent: Sent) -> tuple[HTTPResponse, bytes]:
        start = time.monotonic()
        connection = HTTPConnection(self.server.server_netloc)
        connection.request(self.command, sent.path, sent.body or None, dict(sent.headers))
        response = connection.getresponse()
        content = response.read()
        connection.close()
        took = time.monotonic() - start
        self.server.slowest_response = max(self.server.slowest_response, took)
        return response, content


AnyNetwork = TypeVar("AnyNetwork", bound=Network)


@contextmanager
def running(network: AnyNetwork) -> Iterator[AnyNetwork]:
    """Serve for a block."""
    thread = Thread(target=network.serve_forever, daemon=True)
    thread.start()
    try:
        yield network
    finally:
        network.shutdown()
        network.server_close()
        thread.join()
