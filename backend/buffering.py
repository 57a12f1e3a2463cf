"""A gunicorn worker whose threads get a request only when all of it has arrived.

Its threads would read from the socket themselves, so a few clients that send a byte now and then
would occupy all of them. uvicorn has no deadline for a request, granian none for a body, and
waitress measures inactivity and runs in one process; hence gunicorn's threads, with this in front.
"""

import json
import re
import socket
import time
from contextlib import suppress
from functools import partial
from http import HTTPStatus
from selectors import EVENT_READ
from typing import Any, Final, NamedTuple

from gunicorn.workers.gthread import TConn, ThreadWorker

# For head and body together.
DEADLINE: Final = 10.0  # seconds
# For a client to close its side after a response, so that a reset does not destroy the response.
LINGER: Final = 2.0  # seconds
# As authx.rest.parsers.MAX_BODY_BYTES, for the pages of the admin too.
MAX_BODY: Final = 64 * 1024
READ: Final = 64 * 1024
END_OF_HEAD: Final = b"\r\n\r\n"
LENGTH: Final = re.compile(rb"\r\ncontent-length:[ \t]*0*(\d+)[ \t]*\r\n", re.IGNORECASE)
EXPECTS: Final = re.compile(rb"\r\nexpect:[ \t]*100-continue[ \t]*\r\n", re.IGNORECASE)
ENCODED: Final = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)


CONTINUE: Final = b"HTTP/1.1 100 Continue\r\n\r\n"


def refusal(status: HTTPStatus, error: str, description: str) -> bytes:
    """Return a response in the API's error shape, after which the connection is closed."""
    body = json.dumps({"error": error, "error_description": description})
    head = (
        f"HTTP/1.1 {status.value} {status.phrase}\r\nConnection: close\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        "Cache-Control: no-store\r\n\r\n"
    )
    return (head + body).encode()


MALFORMED: Final = refusal(
    HTTPStatus.BAD_REQUEST, "invalid_request", "The request is malformed or too large."
)
NO_LENGTH: Final = refusal(
    HTTPStatus.BAD_REQUEST, "invalid_request", "A request body needs a Content-Length."
)
TOO_LARGE: Final = refusal(
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "payload_too_large", "The request body is too large."
)


class Verdict(NamedTuple):
    """What to do with the bytes of a request: wait for more, refuse them, or handle them."""

    is_complete: bool
    # Sent at once: a refusal, or that the client may send the body (RFC 9110 section 10.1.1).
    response: bytes = b""
    # Bytes of another request follow.
    has_more: bool = False
    # How many bytes the request has, once its head is there.
    size: int = 0


def examine(received: bytes, max_head: int) -> Verdict:
    """Return whether a thread can handle these bytes without waiting for the client.

    gunicorn refuses a whole head that is malformed. It reads on for one without an end, and for a
    body with another encoding than "chunked", so both are refused here.
    """
    head, end, body = received.partition(END_OF_HEAD)
    if not end:
        too_large = len(head) > max_head
        return Verdict(is_complete=too_large, response=MALFORMED if too_large else b"")
    fields = head + b"\r\n"
    length = LENGTH.search(fields)
    if ENCODED.search(fields):
        # With both, the request is malformed (RFC 9112 section 6.1).
        return Verdict(is_complete=True, response=MALFORMED if length else NO_LENGTH)
    # A number with more digits than any length is not worth parsing.
    size = int(length[1][:18]) if length else 0
    if size > MAX_BODY:
        return Verdict(is_complete=True, response=TOO_LARGE)
    total = len(head) + len(end) + size
    if size and not body and EXPECTS.search(fields):
        return Verdict(is_complete=False, response=CONTINUE, size=total)
    return Verdict(len(body) >= size, has_more=len(body) > size, size=total)


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A connection, and what has arrived of its next request."""

    has_more = False

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self.begin()

    def begin(self) -> None:
        """Wait for a new request."""
        self.received, self.size = bytearray(), 0

    def add(self, data: bytes, max_head: int) -> bool:
        """Return whether what has arrived is worth a look; a client may send single bytes."""
        self.received += data
        if self.size:
            return len(self.received) >= self.size
        # The end of the head may have begun in the bytes before.
        recent = self.received[-(len(data) + len(END_OF_HEAD)) :]
        return END_OF_HEAD in recent or len(self.received) > max_head


class BufferingWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """Waits for requests, and for the end of connections, in its event loop.

    A silent connection costs memory only. If there are `worker_connections`, the oldest is closed:
    of those that were kept alive if there are any, otherwise of those that wait.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # With the time at which each is closed; the first has waited longest.
        self.waiting: dict[Connection, float] = {}
        fields = self.cfg.limit_request_fields * (self.cfg.limit_request_field_size + 2)
        self.max_head: int = self.cfg.limit_request_line + fields

    def accept(self, listener: Any) -> None:
        try:
            client, address = listener.accept()
        except BlockingIOError:
            # Taken by another process.
            return
        except OSError:
            # Gone already, or there are no file descriptors left.
            self._close_oldest()
            return
        self.nr_conns += 1
        self._receive(Connection(self.cfg, client, address, listener.getsockname()))
        if self.nr_conns >= self.worker_connections:
            self._close_oldest()

    def on_client_socket_readable(self, conn: Any, client: Any) -> None:
        """Begin with the next request of a connection that was kept alive."""
        # It may have made room for another one since the events were read; so below.
        if conn not in self.keepalived_conns:
            return
        self.poller.unregister(client)
        self.keepalived_conns.remove(conn)
        self._receive(conn)

    def finish_request(self, conn: Any, fs: Any) -> None:
        if fs.cancelled() or fs.exception() or fs.result():
            super().finish_request(conn, fs)
        else:
            # gunicorn would wait for the client here, and let everyone else wait with it.
            self._linger(conn)

    def murder_pending(self) -> None:
        """Close the connections whose time is over."""
        now = time.monotonic()
        for conn in [one for one, end in self.waiting.items() if end <= now]:
            self._forget(conn)
            self._close(conn)

    def _keepalive_after(self, conn: Any, keepalive: Any) -> bool:
        # No client of ours sends a request before it has the response to the one before.
        return bool(not conn.has_more and super()._keepalive_after(conn, keepalive))

    def _receive(self, conn: Any) -> None:
        conn.begin()
        self._wait(conn, DEADLINE, self._read)

    def _read(self, conn: Any, client: Any) -> None:
        if conn not in self.waiting:
            return
        data = _received(client)
        if data is None:
            return
        if not data:
            self._forget(conn)
            self._close(conn)
        elif conn.add(data, self.max_head):
            self._judge(conn, client)

    def _judge(self, conn: Any, client: Any) -> None:
        complete, response, conn.has_more, conn.size = examine(bytes(conn.received), self.max_head)
        if response:
            with suppress(OSError):
                client.send(response)
        if not complete:
            return
        self._forget(conn)
        if response:
            self._linger(conn)
        else:
            self._handle_in_thread(conn)

    def _handle_in_thread(self, conn: Any) -> None:
        conn.data_ready = True
        conn.init()
        conn.parser.unreader.unread(bytes(conn.received))
        conn.begin()
        self.enqueue_req(conn)

    def _linger(self, conn: Any) -> None:
        try:
            conn.sock.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
        else:
            self._wait(conn, LINGER, self._discard)

    def _discard(self, conn: Any, client: Any) -> None:
        if conn in self.waiting and _received(client) == b"":
            self._forget(conn)
            self._close(conn)

    def _wait(self, conn: Any, seconds: float, on_readable: Any) -> None:
        self.waiting[conn] = time.monotonic() + seconds
        conn.sock.settimeout(0)
        self.poller.register(conn.sock, EVENT_READ, partial(on_readable, conn))

    def _forget(self, conn: Any) -> None:
        del self.waiting[conn]
        self.poller.unregister(conn.sock)

    def _close_oldest(self) -> None:
        if self.keepalived_conns:
            conn = self.keepalived_conns.popleft()
            self.poller.unregister(conn.sock)
        elif self.waiting:
            conn = next(iter(self.waiting))
            self._forget(conn)
        else:
            return
        self._close(conn)

    def _close(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()


def _received(client: Any) -> bytes | None:
    """Return what has arrived; nothing at the end of the connection, None if it is too early."""
    try:
        data: bytes = client.recv(READ)
    except BlockingIOError:
        return None
    except OSError:
        return b""
    return data
