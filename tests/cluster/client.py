"""The HTTP of a phone: sends, counts, and tries again as docs/clients.md says."""

import ssl
from asyncio import sleep
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from http import HTTPStatus
from secrets import SystemRandom
from time import monotonic
from typing import Any, Final

import httpx

from tests.cluster.balancer import BY_BALANCER
from tests.cluster.counts import Counts
from tests.cluster.middleware import SERVED_BY

RANDOM: Final = SystemRandom()
# Longer than any answer of the balancer takes.
TIMEOUT: Final = 20  # seconds
# The most that jitter adds to Retry-After; phones wait longer, but this run has minutes.
MAX_JITTER: Final = 4  # seconds
NO_TLS: Final = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
# Says nothing about tokens: the client waits and tries again.
NOT_NOW: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE})
# Neither the service is away nor can the app do anything.
NO_SUCCESS: Final = frozenset({HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.UNAUTHORIZED})


@dataclass
class Shared:
    """What all phones have in common; `counts` is replaced with every scenario."""

    url: str
    counts: Counts = field(default_factory=Counts)
    is_over: bool = False


class Client:
    """One connection pool, from an address of its own on loopback.

    The rate limits count by client network: with one address for all phones they would refuse most.
    """

    def __init__(self, shared: Shared, address: str) -> None:
        self.shared = shared
        transport = httpx.AsyncHTTPTransport(verify=NO_TLS, local_address=address)
        self.http = httpx.AsyncClient(
            base_url=shared.url, transport=transport, timeout=TIMEOUT, trust_env=False
        )
        self.failing_since: float | None = None
        self.succeeded_at = 0.0

    def count(self, name: str) -> None:
        self.shared.counts.numbers[name] += 1

    async def send(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Return the response, or None if there is none."""
        self.count("requests")
        began = monotonic()
        try:
            response = await self.http.request(method, f"/users/{path}", **options)
        except httpx.TransportError:
            self.count("connection errors")
            self._note_failure(began)
            return None
        if response.status_code in NOT_NOW:
            by = "balancer's 503" if BY_BALANCER in response.headers else "api's"
            self.count(by if by != "api's" else str(response.status_code))
        if response.status_code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            self._note_failure(began)
        elif response.status_code not in NO_SUCCESS:
            self._note_success()
        self.shared.counts.served_by[response.headers.get(SERVED_BY, "nobody")] += 1
        return response

    async def insist(
        self, attempt: Callable[[], Awaitable[httpx.Response | None]]
    ) -> httpx.Response | None:
        """Try until there is an answer that means something; None when the run is over."""
        tries = 0
        while not self.shared.is_over:
            response = await attempt()
            if response is not None and response.status_code not in NOT_NOW:
                return response
            tries += 1
            self.count("retries")
            retry_after = float(response.headers["Retry-After"]) if response is not None else 0.5
            await sleep(retry_after + RANDOM.uniform(0, min(2**tries / 2, MAX_JITTER)))
        return None

    def expect(self, response: httpx.Response, what: str, *expected: tuple[int, str]) -> bool:
        """Return whether a response is a success; note one that no client expects."""
        if response.is_success:
            return True
        code = code_of(response)
        if (response.status_code, code) not in expected:
            self.shared.counts.unexpected.append(f"{what}: {response.status_code} {code}")
        return False

    def _note_failure(self, began: float) -> None:
        if self.failing_since is None:
            self.failing_since = began

    def _note_success(self) -> None:
        self.succeeded_at = monotonic()
        if self.failing_since is not None:
            outage = self.succeeded_at - self.failing_since
            self.shared.counts.longest_outage = max(self.shared.counts.longest_outage, outage)
            self.failing_since = None


def code_of(response: httpx.Response) -> str:
    """Return the code of the API's error shape, or what came instead."""
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return response.text[:80]
