"""A server for Sentry's SDK that keeps what it is sent."""

import gzip
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from tests.ports import HOST


class Sink(ThreadingHTTPServer):
    """Its `dsn` is what a project configures; `envelopes` is what came, unpacked."""

    def __init__(self) -> None:
        super().__init__((HOST, 0), Handler)
        self.envelopes: list[str] = []

    @property
    def dsn(self) -> str:
        return f"http://public@{HOST}:{self.server_port}/1"


class Handler(BaseHTTPRequestHandler):
    server: Sink

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers["Content-Encoding"] == "gzip":
            body = gzip.decompress(body)
        self.server.envelopes.append(body.decode())
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def report_sink() -> Iterator[Sink]:
    """Run the server for a block."""
    with Sink() as sink:
        thread = Thread(target=sink.serve_forever, daemon=True)
        thread.start()
        yield sink
        sink.shutdown()
