"""HAProxy: in front of the web nodes, of the database's primary, and of Valkey's primary."""

import json
from collections.abc import Iterable, Sequence
from functools import partial
from pathlib import Path
from string import Template
from typing import Final

from tests.cluster import valkey
from tests.cluster.postgresql import DatabaseNode
from tests.cluster.programs import Program, until
from tests.cluster.valkey import ValkeyNode
from tests.ports import HOST, free_port, listens

# What HAProxy asks each web node every second.
HEALTH_CHECK: Final = "/health/live"
# Marks what HAProxy answers by itself.
BY_BALANCER: Final = "X-Answered-By"
# The API's 503, which a test compares; Django's settings are not loaded here.
UNAVAILABLE: Final = {
    "error": "temporarily_unavailable",
    "error_description": (
        "The service is temporarily unavailable. Keep your tokens and try again later."
    ),
}
RETRY_AFTER_SECONDS: Final = 5
# The errors that HAProxy answers where a node is away, does not answer, or breaks off.
ERRORS: Final = (502, 503, 504)
CONFIG: Final = Template("""
global
    maxconn 4000
defaults
    timeout connect 2s
    timeout client 1h
    timeout server 1h
    timeout check 2s
    default-server check inter 1s fall 2 rise 2

frontend api
    mode http
    bind $host:$api_port
    timeout client 30s
    timeout http-request 5s
    option forwardfor
    http-request set-header X-Forwarded-Proto https
    default_backend web
backend web
    mode http
    balance leastconn
    # A node closes a connection that is idle, perhaps while a request is on its way to it.
    option http-server-close
    timeout server 15s
    retries 3
    option redispatch
    option httpchk
    http-check send meth GET uri $health_check
    http-check expect status 200
$errors
$web_nodes

listen postgresql
    mode tcp
    bind $host:$postgresql_port
    default-server on-marked-down shutdown-sessions
    option httpchk
    http-check send meth GET uri /primary
    http-check expect status 200
$database_nodes

listen valkey
    mode tcp
    bind $host:$valkey_port
    default-server on-marked-down shutdown-sessions
    balance first
    option tcp-check
    tcp-check send "AUTH $password\\r\\n"
    tcp-check expect string +OK
    tcp-check send "INFO replication\\r\\n"
    tcp-check expect string role:master
$valkey_nodes
""")


class Balancer(Program):
    """One HAProxy with three ports; production has one for each network."""

    def __init__(self, directory: Path) -> None:
        self.port, self.postgresql_port, self.valkey_port = (free_port() for _ in range(3))
        self.config = directory / "haproxy.cfg"
        command = ["haproxy", "-db", "-f", str(self.config)]
        super().__init__(directory, "haproxy", command, {})

    def configure(
        self,
        web_ports: Sequence[tuple[int, int]],
        databases: Sequence[DatabaseNode],
        valkeys: Sequence[ValkeyNode],
    ) -> None:
        error = self.config.with_suffix(".http")
        error.write_bytes(unavailable())
        text = CONFIG.substitute(
            host=HOST,
            api_port=self.port,
            postgresql_port=self.postgresql_port,
            valkey_port=self.valkey_port,
            health_check=HEALTH_CHECK,
            password=valkey.PASSWORD,
            errors=_lines(f"errorfile {status} {error}" for status in ERRORS),
            web_nodes=_lines(
                f"server web-{number} {HOST}:{port} port {operator_port}"
                for number, (port, operator_port) in enumerate(web_ports, 1)
            ),
            database_nodes=_lines(
                f"server {node.name} {HOST}:{node.port} port {node.rest_port}" for node in databases
            ),
            valkey_nodes=_lines(f"server {node.name} {HOST}:{node.port}" for node in valkeys),
        )
        self.config.write_text(text)

    @property
    def url(self) -> str:
        return f"http://{HOST}:{self.port}"

    def start(self, **changes: str) -> None:
        super().start(**changes)
        until(partial(listens, self.port), "HAProxy")


def unavailable() -> bytes:
    """Return the API's 503, as HAProxy sends it."""
    body = json.dumps(UNAVAILABLE)
    head = [
        "HTTP/1.1 503 Service Unavailable",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        "Cache-Control: no-store",
        f"Retry-After: {RETRY_AFTER_SECONDS}",
        f"{BY_BALANCER}: haproxy",
    ]
    return "\r\n".join([*head, "", body]).encode()


def _lines(lines: Iterable[str]) -> str:
    return "\n".join(f"    {line}" for line in lines)
