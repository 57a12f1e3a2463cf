"""What a client sees of the web server itself, before and around Django."""

from collections.abc import Iterator

import pytest

from tests.web_server import WebServer, web_server

pytestmark = pytest.mark.waits

REFUSED = (
    '{"error": "invalid_request", "error_description": "The request is malformed or too large."}'
)
GET = b"GET /users/me HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
POST = b"POST /users/login HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
TLS = b"X-Forwarded-Proto: https\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n\r\n"
TEN_MEGABYTES = 10 * 1024 * 1024


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Run a server that stands alone."""
    with web_server(tmp_path_factory.mktemp("alone")) as running:
        yield running


@pytest.fixture(scope="module")
def behind_proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WebServer]:
    """Run a server behind one proxy, which ends TLS."""
    with web_server(tmp_path_factory.mktemp("proxied"), NUM_PROXIES="1") as running:
        yield running


def test_plain_http_is_refused_whatever_a_client_claims(server: WebServer) -> None:
    claims = b"X-Forwarded-Ssl: on\r\nX-Forwarded-Protocol: ssl\r\n"
    status, answer = server.ask(GET + TLS + claims + b"\r\n")
    assert status == "HTTP/1.1 403 Forbidden"
    assert '"error": "forbidden"' in answer


def test_what_the_proxy_says_of_tls_counts(behind_proxy: WebServer) -> None:
    status, _ = behind_proxy.ask(GET + TLS + b"\r\n")
    assert status == "HTTP/1.1 401 Unauthorized"


@pytest.mark.parametrize(
    "request_",
    [
        b"nonsense\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"GET /?" + b"a" * 3000 + b" HTTP/1.1\r\n\r\n",
        GET + b"X-Big: " + b"a" * 5000 + b"\r\n\r\n",
        GET + b"X-Many: x\r\n" * 100 + b"\r\n",
        GET + b"Authorization : Bearer axa_mistyped\r\n\r\n",
        GET + b"Authorization Bearer axa_mistyped\r\n\r\n",
        GET + b"Authorization: Bearer axa_mistyped\x00\r\n\r\n",
        POST + b"Content-Length: -1\r\n\r\n",
        POST + b"Content-Length: 5\r\n" + CHUNKED + b"0\r\n\r\n",
    ],
    ids=lambda request_: request_[-40:],
)
def test_what_is_no_http_is_refused_in_json_and_its_text_not_logged(
    server: WebServer, request_: bytes
) -> None:
    status, answer = server.ask(request_)
    assert (status, answer.partition("\r\n\r\n")[2]) == ("HTTP/1.1 400 Bad Request", REFUSED)
    assert "Content-Type: application/json\r\n" in answer
    assert "mistyped" not in server.log.read_text()


def test_a_body_of_ten_megabytes_is_refused_before_it_is_sent(behind_proxy: WebServer) -> None:
    length = f"Content-Type: application/json\r\nContent-Length: {TEN_MEGABYTES}\r\n\r\n".encode()
    status, answer = behind_proxy.ask(POST + TLS + length + b'{"username": "')
    assert status == "HTTP/1.1 413 Request Entity Too Large"
    assert "payload_too_large" in answer


def test_ten_megabytes_in_chunks_are_refused_and_not_read(behind_proxy: WebServer) -> None:
    chunk = b"10000\r\n" + b"x" * 0x10000 + b"\r\n"
    status, answer = behind_proxy.ask(POST + TLS + CHUNKED + chunk * 160 + b"0\r\n\r\n")
    assert status == "HTTP/1.1 400 Bad Request"
    assert "Content-Length" in answer


def test_a_chunked_body_that_never_ends_blocks_no_other_request(behind_proxy: WebServer) -> None:
    status, _ = behind_proxy.ask(POST + TLS + CHUNKED + b"10000\r\nx")
    assert status == "HTTP/1.1 400 Bad Request"
    assert behind_proxy.ask(GET + TLS + b"\r\n")[0] == "HTTP/1.1 401 Unauthorized"
