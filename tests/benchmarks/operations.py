"""An operation of a system, and how one call of it is measured: the same way for everybody."""

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from itertools import count
from typing import Any, Final

from django.core.handlers.wsgi import WSGIHandler
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory
from django.test.utils import override_settings

from tests.benchmarks.statements import count_statements

JSON: Final = "application/json"
USER_AGENT: Final = "app/1.0 (phone)"
# A turn is some calls in a row. The first are not measured: the processor's caches hold what
# another system did before, and in life a process serves one. With turns of a single call, the same
# yardstick costs up to half more in one process than in another; with these, three per cent.
WARM_UP_CALLS: Final = 5
MEASURED_CALLS: Final = 10
SUCCESSES: Final = (HTTPStatus.OK, HTTPStatus.CREATED, HTTPStatus.NO_CONTENT)

Call = Callable[[], Any]


def keep(answer: Any) -> None:
    """Need nothing of an answer."""


def stock_nothing(count: int) -> None:
    """Need nothing before the calls."""


@dataclass(frozen=True)
class Operation:
    """`stock` makes what a number of calls need, `prepare` one call, `accept` takes its answer.

    Only the call itself is measured.
    """

    prepare: Callable[[], Call]
    accept: Callable[[Any], None] = keep
    stock: Callable[[int], None] = stock_nothing

    def take_turn(self) -> list[int]:
        """Return the processor time of this process for each measured call, in nanoseconds."""
        return [self.measure() for _ in range(WARM_UP_CALLS + MEASURED_CALLS)][WARM_UP_CALLS:]

    def measure(self) -> int:
        call = self.prepare()
        started = time.process_time_ns()
        answer = call()
        spent = time.process_time_ns() - started
        self.accept(answer)
        return spent

    def count_statements(self) -> int:
        call = self.prepare()
        answer, statements = count_statements(call)
        self.accept(answer)
        return statements


class Site:
    """A project's whole request handler, in this process."""

    def __init__(self, **settings: Any) -> None:
        with override_settings(**settings):
            self.handler = WSGIHandler()
        self.factory = RequestFactory()
        self.addresses = count(1)

    def request(
        self, method: str, path: str, body: Any = None, *, authorization: str = "", kind: str = JSON
    ) -> Call:
        """Return a call that answers a request from an address of its own; a dict is JSON."""
        number = next(self.addresses)
        address = f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"
        headers = {"user-agent": USER_AGENT}
        if authorization:
            headers["authorization"] = authorization
        data = json.dumps(body) if isinstance(body, dict) else body or ""
        request = self.factory.generic(
            method, path, data, content_type=kind, REMOTE_ADDR=address, headers=headers
        )
        return lambda: self.answer(request)

    def answer(self, request: HttpRequest) -> HttpResponse:
        response = self.handler.get_response(request)
        assert isinstance(response, HttpResponse)
        return response


def bearer(token: str) -> str:
    return f"Bearer {token}"


def error_body(response: HttpResponse) -> Any:
    """Return the parsed body of a success; fails the run at anything else."""
    assert response.status_code in SUCCESSES, (response.status_code, response.content)
    return json.loads(response.content) if response.content else None


def check(response: HttpResponse) -> None:
    error_body(response)
