"""Clients that send slowly, or nothing, take the web server from nobody."""

import selectors
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import partial

import psutil
import pytest
from gunicorn.app.base import BaseApplication
from gunicorn.config import Config

from backend.buffering import (
    DEADLINE,
    MALFORMED,
    MAX_BODY,
    NO_LENGTH,
    TOO_LARGE,
    BufferingWorker,
    Connection,
    examine,
)
from tests.ports import HOST
from tests.web_server import WebServer, until, web_server

MAX_HEAD = 20_000
TLS = b"Host: 127.0.0.1\r\nX-Forwarded-Proto: https\r\n"
GET = b"GET /users/me HTTP/1.1\r\n" + TLS
ONCE = GET + b"Connection: close\r\n\r\n"
POST = b"POST /users/login HTTP/1.1\r\nContent-Type: application/json\r\n" + TLS
LOGIN = b"POST /admin/login/ HTTP/1.1\r\n" + TLS
LENGTH_10 = b"Content-Length: 10\r\n"
LONG = b"X-Long: " + b"a" * 4000 + b"\r\n"
UNAUTHORIZED = b"HTTP/1.1 401 Unauthorized"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Run a server with one process."""
    directory = tmp_path_factory.mktemp("slow")
    with web_server(directory, NUM_PROXIES="1", WEB_CONCURRENCY="1") as running:
        yield running


@contextmanager
def connected(server: WebServer, count: int, first: bytes) -> Iterator[list[socket.socket]]:
    """Hold connections that have sent so much."""
    with ExitStack() as stack:
        sockets = [
            stack.enter_context(socket.create_connection((HOST, server.port), timeout=20))
            for _ in range(count)
        ]
        for one in sockets:
            one.sendall(first)
        yield sockets


def seconds_for_a_request(server: WebServer) -> float:
    began = time.monotonic()
    status, _ = server.ask(ONCE)
    assert status.encode() == UNAUTHORIZED
    return time.monotonic() - began


def is_closed(connection: socket.socket) -> bool:
    """Return whether the server has closed a connection on which it sends nothing more."""
    connection.settimeout(0.1)
    try:
        return connection.recv(65536) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


def one_response(connection: socket.socket) -> bytes:
    """Return a response, whose body is an object of JSON."""
    found = b""
    while not found.endswith(b"}"):
        found += connection.recv(65536)
    return found


def ends_after(connection: socket.socket) -> bytes:
    """Return what still comes until the server closes the connection."""
    found = b""
    while part := connection.recv(65536):
        found += part
    return found


@pytest.mark.waits
@pytest.mark.parametrize(
    "first",
    [
        b"",
        b"P",
        POST,
        POST + b"Content-Length: 100\r\n\r\n{",
        LOGIN + b"Content-Length: 9\r\n\r\nx",
    ],
    ids=["nothing", "a byte", "half a head", "a byte of a body", "a byte of a form"],
)
def test_forty_slow_senders_delay_no_request(server: WebServer, first: bytes) -> None:
    with connected(server, 40, first) as sockets:
        for one in sockets:
            assert seconds_for_a_request(server) < 2
            # Refused already, some of them.
            with suppress(ConnectionError):
                one.sendall(b"x" if first else b"")


@pytest.mark.waits
def test_more_connections_than_it_holds_cost_the_oldest_ones_not_the_requests(
    server: WebServer,
) -> None:
    with connected(server, 520, b"P") as sockets:
        assert seconds_for_a_request(server) < 2
        assert until(lambda: is_closed(sockets[0]), seconds=5)
        assert not is_closed(sockets[-1])


def connections_of(server: WebServer) -> int:
    (worker,) = psutil.Process(server.pid).children()
    return sum(one.laddr.port == server.port for one in worker.net_connections("tcp"))


@contextmanager
def frozen_worker(server: WebServer) -> Iterator[None]:
    """Let everything within a block arrive at once; then the same process is still there."""
    (worker,) = psutil.Process(server.pid).children()
    worker.suspend()
    yield
    worker.resume()
    assert seconds_for_a_request(server) < 2
    assert worker.is_running()


@pytest.mark.waits
@pytest.mark.parametrize("first", [b"P", GET + b"\r\n"], ids=["waiting", "kept alive"])
def test_a_connection_that_makes_room_in_the_moment_it_sends_stops_no_process(
    server: WebServer, first: bytes
) -> None:
    with connected(server, 496, first) as sockets, connected(server, 3, b""):
        if first != b"P":
            assert all(one_response(one).startswith(UNAUTHORIZED) for one in sockets)
        # With the one that listens; one more connection makes the process close the oldest.
        assert until(lambda: connections_of(server) == 500, seconds=10)
        # It is reported before the others.
        with frozen_worker(server), connected(server, 1, b""):
            for one in sockets:
                one.sendall(b"x")


@pytest.mark.waits
def test_idle_connections_that_were_kept_make_room_first(server: WebServer) -> None:
    with connected(server, 496, GET + b"\r\n") as kept:
        for one in kept:
            assert one_response(one).startswith(UNAUTHORIZED)
        with connected(server, 20, POST) as waiting:
            assert seconds_for_a_request(server) < 2
            assert until(lambda: is_closed(kept[0]), seconds=5)
            assert not any(map(is_closed, waiting))


@pytest.mark.parametrize("state", ["waiting", "lingering", "kept"])
def test_what_a_connection_has_sent_before_it_made_room_harms_no_worker(state: str) -> None:
    config = Config()
    worker = BufferingWorker(1, 1, [], BaseApplication.__new__(BaseApplication), 30, config, None)
    with selectors.DefaultSelector() as worker.poller, ExitStack() as stack:
        stack.callback(worker.tmp.close)
        ours, theirs = (stack.enter_context(one) for one in socket.socketpair())
        connection = Connection(config, theirs, ("", 0), ("", 0))
        if state == "kept":
            readable = partial(worker.on_client_socket_readable, connection)
            worker.poller.register(theirs, selectors.EVENT_READ, readable)
            worker.keepalived_conns.append(connection)
        else:
            (worker._receive if state == "waiting" else worker._linger)(connection)
        ours.sendall(b"G")
        # In one turn of the event loop, a new connection is accepted before this one is read.
        ((event, _),) = worker.poller.select(timeout=5)
        worker._close_oldest()
        event.data(event.fileobj)
        assert not worker.waiting
        assert theirs.fileno() == -1


@pytest.mark.waits
def test_a_request_that_is_never_whole_ends_at_the_deadline(server: WebServer) -> None:
    with connected(server, 1, POST + b"Content-Length: 100\r\n\r\n") as (one,):
        began = time.monotonic()
        one.settimeout(0.5)
        received = None
        while received is None and time.monotonic() < began + DEADLINE + 5:
            try:
                one.sendall(b"x")
                received = one.recv(1)
            except TimeoutError:
                continue
            except ConnectionError:
                received = b""
        assert received == b""
        assert DEADLINE - 1 < time.monotonic() - began < DEADLINE + 4


@pytest.mark.waits
def test_a_client_that_does_not_hang_up_after_its_response_delays_no_other(
    server: WebServer,
) -> None:
    with connected(server, 20, ONCE) as sockets:
        assert seconds_for_a_request(server) < 2
        for one in sockets:
            assert ends_after(one).startswith(UNAUTHORIZED)


@pytest.mark.waits
def test_a_connection_is_used_again_after_longer_than_gunicorn_would_keep_it(
    server: WebServer,
) -> None:
    with connected(server, 1, GET + b"\r\n") as (one,):
        assert one_response(one).startswith(UNAUTHORIZED)
        time.sleep(3)
        one.sendall(GET)
        one.sendall(b"\r\n")
        assert one_response(one).startswith(UNAUTHORIZED)


@pytest.mark.waits
def test_a_body_that_was_refused_unread_is_not_the_next_request(server: WebServer) -> None:
    body = POST.replace(b"/login", b"/logout") + b"Content-Length: 4\r\n\r\n{  }"
    with connected(server, 1, body) as (one,):
        assert one_response(one).startswith(UNAUTHORIZED)
        one.sendall(ONCE)
        assert ends_after(one).startswith(UNAUTHORIZED)


@pytest.mark.waits
def test_of_two_requests_at_once_the_second_has_to_be_sent_again(server: WebServer) -> None:
    with connected(server, 1, GET + b"\r\n" + GET + b"\r\n") as (one,):
        assert ends_after(one).count(UNAUTHORIZED) == 1


@pytest.mark.waits
def test_a_client_that_asks_first_may_send_its_body(server: WebServer) -> None:
    head = POST + b"Expect: 100-continue\r\nContent-Length: 2\r\nConnection: close\r\n\r\n"
    with connected(server, 1, head) as (one,):
        assert one.recv(65536) == b"HTTP/1.1 100 Continue\r\n\r\n"
        one.sendall(b"{}")
        assert b"HTTP/1.1 400 Bad Request" in ends_after(one)


@pytest.mark.waits
@pytest.mark.parametrize(
    ("head", "response"),
    [
        (b"Content-Length: 65537\r\n\r\n", TOO_LARGE),
        (b"Transfer-Encoding: chunked\r\n\r\n", NO_LENGTH),
    ],
    ids=["too large", "chunked"],
)
def test_a_body_without_an_end_in_sight_is_refused_on_every_page(
    server: WebServer, head: bytes, response: bytes
) -> None:
    with connected(server, 1, LOGIN + head + b"x" * 100) as (one,):
        assert ends_after(one) == response


@pytest.mark.waits
def test_a_client_that_leaves_in_the_middle_is_forgotten(server: WebServer) -> None:
    with connected(server, 1, POST) as (one,):
        one.shutdown(socket.SHUT_WR)
        assert ends_after(one) == b""


@pytest.mark.waits
def test_a_request_in_single_bytes_is_answered_and_looked_at_twice(server: WebServer) -> None:
    request = POST + b"Connection: close\r\nContent-Length: 2\r\n\r\n{}"
    with connected(server, 1, b"") as (one,):
        one.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for byte in request:
            one.sendall(bytes([byte]))
        assert ends_after(one).startswith(b"HTTP/1.1 400 Bad Request")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(None, ours, "", "")
        looks = [connection.add(bytes([byte]), MAX_HEAD) for byte in request[:-2]]
        assert looks == [False] * (len(looks) - 1) + [True]
        connection.size = len(request)
        assert [connection.add(b"{", MAX_HEAD), connection.add(b"}", MAX_HEAD)] == [False, True]


# --- What is whole


@pytest.mark.parametrize("end", range(len(ONCE)))
def test_a_request_without_a_body_is_whole_with_its_head(end: int) -> None:
    assert not examine(ONCE[:end], MAX_HEAD).is_complete
    assert examine(ONCE, MAX_HEAD) == (True, b"", False, len(ONCE))


@pytest.mark.parametrize(
    "field", [b"Content-Length: 3", b"content-length:3", b"CONTENT-LENGTH:\t3 "], ids=str
)
def test_a_request_with_a_body_is_whole_with_the_last_byte(field: bytes) -> None:
    head = b"POST / HTTP/1.1\r\n" + field + b"\r\n\r\n"
    assert not examine(head + b"ab", MAX_HEAD).is_complete
    assert examine(head + b"abc", MAX_HEAD) == (True, b"", False, len(head) + 3)
    assert examine(head + b"abcG", MAX_HEAD) == (True, b"", True, len(head) + 3)


def test_the_largest_body_is_waited_for() -> None:
    head = f"POST / HTTP/1.1\r\nContent-Length: {MAX_BODY}\r\n\r\n".encode()
    assert examine(head, MAX_HEAD) == (False, b"", False, len(head) + MAX_BODY)
    assert examine(head + b"x" * MAX_BODY, MAX_HEAD).is_complete


@pytest.mark.parametrize("length", [b"000003", b"0" * 30 + b"3"])
def test_leading_zeros_do_not_hide_a_body(length: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"
    assert not examine(head + b"ab", MAX_HEAD).is_complete
    assert examine(head + b"abc", MAX_HEAD).is_complete


@pytest.mark.parametrize("length", [b"65537", b"9" * 18, b"1" + b"0" * 5000])
def test_a_length_beyond_the_largest_body_is_refused(length: bytes) -> None:
    head = b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"
    assert examine(head, MAX_HEAD).response == TOO_LARGE


def test_a_head_without_end_is_refused() -> None:
    assert not examine(b"x" * MAX_HEAD, MAX_HEAD).is_complete
    assert examine(b"x" * (MAX_HEAD + 1), MAX_HEAD) == (True, MALFORMED, False, 0)


@pytest.mark.parametrize("encoding", [b"chunked", b"identity", b"gzip", b"chunked, identity"])
@pytest.mark.parametrize(("length", "response"), [(b"", NO_LENGTH), (LENGTH_10, MALFORMED)])
def test_no_encoding_of_a_body_hides_its_end(
    encoding: bytes, length: bytes, response: bytes
) -> None:
    fields = b"Transfer-Encoding: " + encoding + b"\r\n" + length
    verdict = examine(b"POST / HTTP/1.1\r\n" + fields + b"\r\n", MAX_HEAD)
    assert verdict == (True, response, False, 0)


def test_lengths_that_are_none_are_left_to_gunicorn_which_refuses_them() -> None:
    for length in (b"-1", b"1.5", b"a", b"1, 2", b""):
        request = b"POST / HTTP/1.1\r\nContent-Length: " + length + b"\r\n\r\n"
        assert examine(request, MAX_HEAD).is_complete
