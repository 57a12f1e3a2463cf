"""A TLS server on loopback in front of a plain one, as the Valkey of the wheel speaks no TLS."""

import ssl
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from socket import SHUT_RDWR, create_connection, create_server, socket
from threading import Thread

import trustme

from tests.ports import HOST


@contextmanager
def tls_proxy(certificate: trustme.LeafCert, port: int) -> Iterator[int]:
    """Accept TLS for a block, and forward to a port in plain text; yields the port for TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    certificate.configure_cert(context)
    with create_server((HOST, 0)) as listener:
        Thread(target=_accept, args=(listener, context, port), daemon=True).start()
        try:
            yield listener.getsockname()[1]
        finally:
            # Wakes the thread, which a close would leave waiting.
            listener.shutdown(SHUT_RDWR)


def _accept(listener: socket, context: ssl.SSLContext, port: int) -> None:
    with suppress(OSError):
        while True:
            raw, _ = listener.accept()
            Thread(target=_serve, args=(raw, context, port), daemon=True).start()


def _serve(raw: socket, context: ssl.SSLContext, port: int) -> None:
    with (
        suppress(OSError),  # a client that refuses the certificate, among others
        raw,
        context.wrap_socket(raw, server_side=True) as client,
        create_connection((HOST, port)) as server,
    ):
        Thread(target=_copy, args=(server, client), daemon=True).start()
        _copy(client, server)


def _copy(source: socket, target: socket) -> None:
    with suppress(OSError):
        while part := source.recv(65536):
            target.sendall(part)
        target.shutdown(SHUT_RDWR)
