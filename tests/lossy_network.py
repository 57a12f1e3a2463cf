"""Networks between a client and a server: one records, one loses responses, one delays."""

import random  # noqa: TID251 -- delays that a seed repeats, no secrets
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from email.message import Message
from http.client import HTTPConnection, HTTPResponse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import TypeVar
from urllib.parse import urlsplit

from tests.ports import HOST
from tests.web_server import until

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

    def canned(self, sent: Sent) -> "Refusal | None":
        """Return what answers in the server's place, if anything does."""
        return None

    def hold(self, sent: Sent) -> None:
        """Keep a response for as long as it hangs."""


@dataclass
class Refusal:
    """A response in the server's place; `times` counts down, and -1 is for ever."""

    status: int
    headers: dict[str, str]
    body: bytes
    times: int


class Hanging:
    """A response that hangs."""

    def __init__(self) -> None:
        self.struck, self.over = Event(), Event()

    def wait_for_one(self) -> None:
        assert self.struck.wait(timeout=30)


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


class ScriptedNetwork(Network):
    """Does with the requests to a path what a test says."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._refusals: dict[str, Refusal] = {}
        self._hanging: dict[str, Hanging] = {}

    def sent_to(self, path: str) -> list[Sent]:
        return [sent for sent in self.sent if sent.path == path]

    def bodies_of(self, path: str) -> list[bytes]:
        return [sent.body for sent in self.sent_to(path)]

    def wait_for(self, path: str) -> None:
        """Wait until a request to a path has come."""
        assert until(lambda: bool(self.sent_to(path)), seconds=30)

    def refuse(
        self, path: str, status: int, headers: dict[str, str], body: bytes = b"", *, times: int = -1
    ) -> None:
        """Answer in the server's place, so many times or until it recovers."""
        self._refusals[path] = Refusal(status, headers, body, times)

    def refuse_once(self, path: str, status: int, headers: dict[str, str]) -> None:
        self.refuse(path, status, headers, times=1)

    def recover(self, path: str) -> None:
        del self._refusals[path]

    @contextmanager
    def hanging(self, path: str) -> Iterator["Hanging"]:
        """Hold the response to the next request to a path for as long as the block takes."""
        self._hanging[path] = hanging = Hanging()
        try:
            yield hanging
        finally:
            hanging.over.set()

    def canned(self, sent: Sent) -> "Refusal | None":
        refusal = self._refusals.get(sent.path)
        if refusal is None or refusal.times == 0:
            return None
        refusal.times -= 1
        return refusal

    def hold(self, sent: Sent) -> None:
        if hanging := self._hanging.pop(sent.path, None):
            hanging.struck.set()
            hanging.over.wait()


class _Connection(BaseHTTPRequestHandler):
    server: Network

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        sent = Sent(self.path, self.headers, body)
        self.server.sent.append(sent)
        if refusal := self.server.canned(sent):
            self._answer(refusal.status, refusal.headers.items(), refusal.body)
            return
        time.sleep(self.server.travel_time())
        response, content = self._forward(sent)
        time.sleep(self.server.travel_time())
        self.server.hold(sent)
        if self.server.loses_response(sent):
            return
        self._answer(response.status, response.getheaders(), content)

    def _answer(self, status: int, headers: Iterable[tuple[str, str]], content: bytes) -> None:
        self.send_response_only(status)
        for name, value in headers:
            if name not in HOP_BY_HOP:
                self.send_header(name, value)
        # A client that has given up is no failure of this network.
        with suppress(ConnectionError):
            self.end_headers()
            self.wfile.write(content)

    do_GET = do_PATCH = do_POST  # noqa: N815 -- the base class's name

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
