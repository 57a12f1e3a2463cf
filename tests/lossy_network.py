"""A network that loses answers, between a client and a server that did its work."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

from backend.local.ports import HOST


class LossyNetwork(ThreadingHTTPServer):
    """Cuts the line after the server has answered, the first time a refresh is asked for."""

    daemon_threads = True

    def __init__(self, url: str) -> None:
        super().__init__((HOST, 0), _Line)
        self.server_netloc = urlsplit(url).netloc
        self.lost: set[bytes] = set()

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.server_port}"


class _Line(BaseHTTPRequestHandler):
    server: LossyNetwork

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        upstream = HTTPConnection(self.server.server_netloc)
        upstream.request(self.command, self.path, body or None, dict(self.headers))
        answer = upstream.getresponse()
        content = answer.read()
        upstream.close()
        if self.path == "/users/token" and body not in self.server.lost:
            self.server.lost.add(body)
            return
        self.send_response_only(answer.status)
        for name, value in answer.getheaders():
            if name not in {"Connection", "Transfer-Encoding"}:
                self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    do_GET = do_POST  # noqa: N815 -- the base class's name


@contextmanager
def lossy_network(url: str) -> Iterator[LossyNetwork]:
    network = LossyNetwork(url)
    thread = Thread(target=network.serve_forever, daemon=True)
    thread.start()
    try:
        yield network
    finally:
        network.shutdown()
        network.server_close()
        thread.join()
