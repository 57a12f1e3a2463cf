"""The pages of the operator's port: health and metrics, as a WSGI application of their own.

They bypass Django's middleware, because a probe knows neither a name of ALLOWED_HOSTS nor TLS.
"""

import json
import os
from collections.abc import Callable, Iterable
from http import HTTPStatus
from socketserver import ThreadingMixIn
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from wsgiref.simple_server import WSGIRequestHandler, WSGIServer, make_server

from django.db import (
    DEFAULT_DB_ALIAS,
    Error,
    ProgrammingError,
    close_old_connections,
    connections,
)
from django.db.migrations.executor import MigrationExecutor
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from authx.contrib.metrics.state import StateCollector
from authx.sessions.durability import require_writable
from authx.throttling.store import store
from backend.operator_port import METRICS_DIR, operator_address, operator_port

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIEnvironment

JSON: Final = "application/json"
# How long a probe waits for another one that the database keeps waiting.
PATIENCE: Final = 2  # seconds


class Page(NamedTuple):
    """A response of the operator's port."""

    status: HTTPStatus
    content_type: str
    body: bytes


def application(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
    """Respond to GET requests for the pages below; a WSGI application of its own."""
    make_page = PAGES.get(environ.get("PATH_INFO", ""))
    if make_page is None:
        page = _page({"status": "not found"}, HTTPStatus.NOT_FOUND)
    elif environ["REQUEST_METHOD"] not in {"GET", "HEAD"}:
        page = _page({"status": "method not allowed"}, HTTPStatus.METHOD_NOT_ALLOWED)
    else:
        page = make_page()
    headers = [("Content-Type", page.content_type), ("Content-Length", str(len(page.body)))]
    start_response(f"{page.status.value} {page.status.phrase}", headers)
    return [b"" if environ["REQUEST_METHOD"] == "HEAD" else page.body]


def serve_in_background(server_class: type[WSGIServer] | None = None) -> None:
    """Serve the pages in a thread of their own, if there is a port for them.

    A web server's own threads may all wait for the database, and a balancer that gets no response
    would take out every node.
    """
    if operator_port() is None:
        return
    server = make_server(
        *operator_address(),
        application,
        server_class=server_class or ThreadingServer,
        handler_class=QuietHandler,
    )
    Thread(target=server.serve_forever, name="operator", daemon=True).start()


class ThreadingServer(ThreadingMixIn, WSGIServer):
    """A thread for each request: a slow database does not keep the page of liveness waiting."""

    daemon_threads = True

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        super().process_request_thread(request, client_address)
        # Of this thread, which ends here.
        connections.close_all()


class SharingServer(ThreadingServer):
    """Shares its port with the other processes of a web server; the kernel chooses one of them."""

    allow_reuse_port = True


class QuietHandler(WSGIRequestHandler):
    """Logs nothing: a probe comes every few seconds. A client that is silent is disconnected."""

    timeout = 5

    def log_message(self, *_: Any) -> None:
        pass


def _page(values: dict[str, str], status: HTTPStatus = HTTPStatus.OK) -> Page:
    return Page(status, JSON, json.dumps(values).encode() + b"\n")


def _live() -> Page:
    """Respond whatever else is unavailable: restarting this process would not help.

    A web server that stops says so, and a balancer sends its requests to the others.
    """
    if is_stopping.is_set():
        return _page({"status": "stopping"}, HTTPStatus.SERVICE_UNAVAILABLE)
    return _page({"status": "ok"})


def _ready() -> Page:
    """Return 200 if the database is writable and migrated; without counters, limits degrade."""
    counters = "ok" if store().is_available() else "degraded"
    if not _checking.acquire(timeout=PATIENCE):
        database = "unavailable"
    else:
        try:
            database = _database_state()
        finally:
            _checking.release()
    is_ready = database == "ok"
    return _page(
        {
            "status": "ok" if is_ready else "unavailable",
            "database": database,
            "rate_limits": counters,
        },
        HTTPStatus.OK if is_ready else HTTPStatus.SERVICE_UNAVAILABLE,
    )


def _database_state() -> str:
    """Return "ok", "not migrated" or "unavailable"."""
    close_old_connections()
    try:
        require_writable()
        return "ok" if _is_migrated() else "not migrated"
    except ProgrammingError:
        return "not migrated"
    except Error:
        return "unavailable"
    finally:
        close_old_connections()


def _is_migrated() -> bool:
    """Return whether every migration of this version is applied; newer ones may be."""
    if not _migrated.is_set():
        executor = MigrationExecutor(connections[DEFAULT_DB_ALIAS])
        if not executor.migration_plan(executor.loader.graph.leaf_nodes()):
            # Looked up once: it takes a while, and nothing undoes a migration under this version.
            _migrated.set()
    return _migrated.is_set()


def _metrics() -> Page:
    """Return what the processes of this server have counted, and what the database says now."""
    registry = CollectorRegistry()
    if METRICS_DIR in os.environ:
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    # A database that does not respond may keep one scrape waiting, not all of them.
    has_turn = _checking.acquire(timeout=PATIENCE)
    try:
        if has_turn:
            close_old_connections()
            registry.register(StateCollector())
        return Page(HTTPStatus.OK, CONTENT_TYPE_LATEST, generate_latest(registry))
    finally:
        if has_turn:
            close_old_connections()
            _checking.release()


is_stopping = Event()
_checking = Lock()
_migrated = Event()
PAGES: Final[dict[str, Callable[[], Page]]] = {
    "/health/live": _live,
    "/health/ready": _ready,
    "/metrics": _metrics,
}
