"""The proxy of docker/compose.yaml: TLS, limits, deadlines, errors, and what it repeats."""

import json
import socket
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http import HTTPStatus
from http.client import HTTPResponse
from pathlib import Path
from threading import Thread

import httpx
import pytest
from django.contrib.auth.models import User

from tests.phone import PASSWORD
from tests.ports import HOST
from tests.proxy import proxy
from tests.web_server import QUICK_HASHES, WebServer, of_this_run, web_server

pytestmark = [pytest.mark.waits, pytest.mark.django_db(transaction=True)]

SIGN_IN = {"username": "alice", "password": PASSWORD, "device": {"name": "phone"}}
NOBODY = f"{HOST}:1"


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[WebServer]:
    changes = {"ALLOWED_HOSTS": "localhost", "NUM_PROXIES": "1", "HTTPS_ONLY": "true"}
    variables = of_this_run() | QUICK_HASHES | changes
    with web_server(tmp_path_factory.mktemp("web"), **variables) as server:
        yield server


@pytest.fixture
def node(web: WebServer) -> str:
    return f"{HOST}:{web.port}"


@pytest.fixture
def cutting_node() -> Iterator[str]:
    """Read every request, and close the connection without a response."""
    with socket.create_server((HOST, 0)) as server:
        Thread(target=_cut, args=(server,), daemon=True).start()
        yield f"{HOST}:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _cut(server: socket.socket) -> None:
    with suppress(OSError):
        while True:
            connection, _ = server.accept()
            with connection:
                connection.recv(65536)


def error_of(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    assert set(body) == {"error", "error_description"}
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, body["error"]


@contextmanager
def tls_connection(directory: Path, client: httpx.Client) -> Iterator[ssl.SSLSocket]:
    """Connect to the proxy to send bytes as they are."""
    port = client.base_url.port
    assert port is not None
    context = ssl.create_default_context(cafile=str(directory / "secrets" / "ca.pem"))
    with (
        socket.create_connection((HOST, port), timeout=5) as raw,
        context.wrap_socket(raw, server_hostname="localhost") as connection,
    ):
        yield connection


def test_a_phone_signs_in_and_refreshes_over_tls(tmp_path: Path, node: str, alice: User) -> None:
    with proxy(tmp_path, node) as client:
        signed_in = client.post("/users/login", json=SIGN_IN)
        assert signed_in.status_code == HTTPStatus.OK, signed_in.text
        token = {"refresh_token": signed_in.json()["refresh_token"]}
        refresh = {"grant_type": "refresh_token", **token}
        assert client.post("/users/token", json=refresh).status_code == HTTPStatus.OK
        assert error_of(client.get("/users/me")) == (401, "unauthorized")
    assert "refresh_token" not in (tmp_path / "access.log").read_text()


def test_what_is_for_operators_is_not_passed_on(tmp_path: Path, cutting_node: str) -> None:
    with proxy(tmp_path, cutting_node) as client:
        for path in ("/metrics", "/health/live", "/health/ready", "/health", "/metrics/x"):
            assert error_of(client.get(path)) == (404, "not_found")


def test_a_body_above_the_limit_is_refused(tmp_path: Path, node: str) -> None:
    with proxy(tmp_path, node) as client:
        assert client.post("/users/login", content=b" " * 65536).status_code == 415
        answer = client.post("/users/login", content=b" " * 65537)
        assert error_of(answer) == (413, "payload_too_large")


def test_a_flood_of_one_address_is_refused(tmp_path: Path, node: str) -> None:
    with proxy(tmp_path, node, **{"rate=50r/s": "rate=1r/s"}) as client:
        answers = [client.get("/users/me") for _ in range(110)]
    assert answers[100].status_code == 401
    assert error_of(answers[-1]) == (429, "rate_limited")
    assert answers[-1].headers["Retry-After"] == "5"


def test_without_a_node_the_error_is_that_of_the_api(tmp_path: Path) -> None:
    with proxy(tmp_path, NOBODY) as client:
        answer = client.get("/users/me")
    assert error_of(answer) == (503, "temporarily_unavailable")
    assert answer.headers["Retry-After"] == "5"


@pytest.mark.parametrize(
    ("head", "error"),
    [
        (b"get / HTTP/1.1\r\n\r\n", (400, "invalid_request")),
        (b"GET / with a space HTTP/1.1\r\n\r\n", (400, "invalid_request")),
        (b"CONNECT other:443 HTTP/1.1\r\n\r\n", (400, "invalid_request")),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", (400, "invalid_request")),
        (
            b"POST / HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip\r\n\r\n",
            (400, "invalid_request"),
        ),
        (b"TRACE / HTTP/1.1\r\nHost: a\r\n\r\n", (405, "method_not_allowed")),
        (b"GET /errors/malformed HTTP/1.1\r\nHost: a\r\n\r\n", (404, "not_found")),
    ],
    ids=["lower case", "space", "connect", "http/2", "encoding", "trace", "own page"],
)
def test_what_nginx_refuses_by_itself_has_the_error_of_the_api(
    tmp_path: Path, head: bytes, error: tuple[int, str]
) -> None:
    with proxy(tmp_path, NOBODY) as client, tls_connection(tmp_path, client) as raw:
        raw.sendall(head)
        response = HTTPResponse(raw)
        response.begin()
        assert (response.status, json.loads(response.read())["error"]) == error
        assert response.headers["Content-Type"] == "application/json"


def test_a_slow_client_is_cut_off(tmp_path: Path, node: str) -> None:
    quick = {"client_header_timeout 10s": "client_header_timeout 1s"}
    with proxy(tmp_path, node, **quick) as client, tls_connection(tmp_path, client) as slow:
        slow.sendall(b"GET /users/me HTTP/1.1\r\nHost: localhost\r\n")
        started = time.monotonic()
        with suppress(ConnectionResetError, ssl.SSLEOFError):
            while slow.recv(4096):
                pass
        assert time.monotonic() - started < 4


def test_a_node_that_is_down_costs_no_request(tmp_path: Path, node: str, alice: User) -> None:
    with proxy(tmp_path, NOBODY, f"{node} backup") as client:
        assert client.post("/users/login", json=SIGN_IN).status_code == HTTPStatus.OK


def test_a_refresh_that_was_cut_is_repeated_and_a_sign_in_is_not(
    tmp_path: Path, node: str, cutting_node: str, alice: User
) -> None:
    (tmp_path / "whole").mkdir()
    with proxy(tmp_path / "whole", node) as client:
        pair = client.post("/users/login", json=SIGN_IN).json()
    refresh = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    with proxy(tmp_path, f"{cutting_node} max_fails=0", f"{node} backup") as client:
        assert error_of(client.post("/users/login", json=SIGN_IN)) == (
            503,
            "temporarily_unavailable",
        )
        assert client.post("/users/token", json=refresh).status_code == HTTPStatus.OK
