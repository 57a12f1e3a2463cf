"""A device whose requests httpx sends: into the project by WSGI, or to a live server."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

import httpx
from django.core.handlers.wsgi import WSGIHandler
from django.core.signals import request_finished, request_started
from django.db import close_old_connections

from authx.testing.clients import SignedInDevice

if TYPE_CHECKING:
    from django.contrib.auth.models import User


class LostHTTPXAnswerError(httpx.ReadError):
    """Raised as httpx does when a server closes the connection before it has answered."""


class _ProjectTransport(httpx.WSGITransport):
    """Sends requests into the project, within the transaction of a test."""

    def __init__(self) -> None:
        super().__init__(app=WSGIHandler())

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        with _open_connections():
            response = super().handle_request(request)
            # Read and closed here: Django ends a request when its response is closed.
            stream: Any = response.stream
            body = b"".join(stream)
            stream.close()
        return httpx.Response(
            response.status_code, headers=response.headers, stream=httpx.ByteStream(body)
        )


@contextmanager
def _open_connections() -> Iterator[None]:
    """Keep Django from closing a database connection that is in a transaction.

    Its own test client does the same.
    """
    signals = (request_started, request_finished)
    disconnected = [signal for signal in signals if signal.disconnect(close_old_connections)]
    try:
        yield
    finally:
        for signal in disconnected:
            signal.connect(close_old_connections)


class DeviceHTTPXClient(SignedInDevice, httpx.Client):
    """An `httpx.Client` on a device.

    With a `base_url`, such as that of a live server, requests go over the network. Without one,
    they go into the project itself.
    """

    lost_answer_error: ClassVar[type[Exception]] = LostHTTPXAnswerError

    def __init__(self, user: "User | None" = None, *, base_url: str = "", **options: Any) -> None:
        if not base_url:
            base_url = "https://testserver"
            options["transport"] = _ProjectTransport()
        super().__init__(base_url=base_url, **options)
        if user is not None:
            self.sign_in(user)

    def send(self, *args: Any, **kwargs: Any) -> httpx.Response:
        response: httpx.Response = self._arrive(super().send(*args, **kwargs))
        return response

    def _set_authorization(self, value: str) -> None:
        self.headers["Authorization"] = value

    def _post_json(self, path: str, body: dict[str, str]) -> httpx.Response:
        return self.post(path, json=body)
