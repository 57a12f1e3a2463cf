"""How gunicorn serves: `gunicorn --config=python:backend.gunicorn`.

Without the worker, gunicorn answers a malformed request in HTML, and both the response and the log
quote the unreadable line, which may hold a token.
"""

import gc
import socket
import sys
from contextlib import suppress
from functools import partial
from math import ceil
from threading import Timer
from typing import Any, Final

from django.utils.module_loading import import_string
from gunicorn import util
from gunicorn.http.errors import InvalidResponseHeader, InvalidResponseHeaderName, ParseException

from backend.buffering import MALFORMED, BufferingWorker
from backend.operator_port import (
    drain_period,
    forget_process,
    memory_dir,
    operator_address,
    operator_port,
    share_metrics,
)

SWITCH_INTERVAL: Final = 0.0005  # seconds


class Worker(BufferingWorker):
    """Responds to malformed HTTP with the JSON error of the API."""

    def handle_exit(self, sig: Any, frame: Any) -> None:
        """Stop gracefully (SIGTERM), once a balancer has had the time to notice.

        Until then requests are accepted: whatever waits in the socket at the end is reset.
        """
        import_string("backend.monitoring.is_stopping").set()
        stop = partial(super().handle_exit, sig, frame)
        Timer(drain_period().total_seconds(), stop).start()

    def handle_error(self, req: Any, client: Any, addr: Any, exc: Exception) -> None:
        is_ours = isinstance(exc, InvalidResponseHeader | InvalidResponseHeaderName)
        if is_ours or not isinstance(exc, ParseException):
            super().handle_error(req, client, addr, exc)
            return
        # gunicorn tells log and client what it could not read: the line of a mistyped header may
        # well be a token.
        self.log.warning("refused from %s: %s", addr and addr[0], type(exc).__name__)
        with suppress(OSError):
            util.write_nonblock(client, MALFORMED)


def on_starting(_server: Any) -> None:
    """Refuse to start on a port of another server, which the workers would share unnoticed."""
    if operator_port() is not None:
        socket.create_server(operator_address()).close()


def post_worker_init(worker: Any) -> None:
    warn_of_taken_threads(worker)
    # Loaded now, because it needs the models.
    serve_in_background = import_string("backend.monitoring.serve_in_background")
    serve_in_background(import_string("backend.monitoring.SharingServer"))
    # The garbage collector would stop all threads for 100 ms to look through what stays for good.
    gc.collect()
    gc.freeze()
    # A thread that has read its query's result would wait 5 ms for one that computes.
    sys.setswitchinterval(SWITCH_INTERVAL)


def warn_of_taken_threads(worker: Any) -> None:
    """Log if a flood of sign-ins could take every thread of a process."""
    taken = 2 * import_string("authx.passwords.bulkhead.size")()
    if taken >= worker.cfg.threads:
        worker.log.warning(
            "of %d threads, password checks may take %d: see PASSWORD_CHECKS_AT_ONCE",
            worker.cfg.threads,
            taken,
        )


def child_exit(_server: Any, worker: Any) -> None:
    forget_process(worker.pid)


share_metrics()

wsgi_app = "backend.wsgi"
worker_class = Worker
threads = 4
# Of one process, with those that wait for a request; below the usual limit of 1024 open files.
worker_connections = 500
# Longer than balancers keep a connection that they may use again (60 s on AWS, 600 s on Google
# Cloud): a request that meets our end of it would fail.
keepalive = 620
worker_tmp_dir = memory_dir()
# After this, a worker is killed with the requests that it is answering.
graceful_timeout = 30 + ceil(drain_period().total_seconds())
# It would be a file in the home directory, which a container cannot write to.
control_socket_disable = True

# Only Django decides whether a request came over TLS, and from where, by NUM_PROXIES. gunicorn
# would trust these headers of any client on this machine.
forwarded_allow_ips = ""
secure_scheme_headers: dict[str, str] = {}

# Far above the URLs and headers of apps; a token has about a hundred characters.
limit_request_line = 2048
limit_request_fields = 64
limit_request_field_size = 4096
