"""An app in threads without single flight: each call that is refused refreshes by itself."""

import json
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection
from threading import Lock
from typing import Any
from urllib.parse import urlencode, urlsplit

PATIENCE = 60  # seconds
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Pair = dict[str, Any]
# Whether a call refreshed, and the status that it ended with.
Outcome = tuple[bool, int]


@dataclass(frozen=True)
class Storm:
    """Rounds of parallel calls over an expired access token; times in seconds."""

    # One group after the other; the sessions of a group side by side; each its rounds in a row.
    groups: int
    sessions: int
    rounds: int
    calls: int
    max_delay: float
    grace_period: float
    seed: int

    @property
    def pause(self) -> float:
        """Return how long to wait until every superseded token is out of its grace period."""
        return self.grace_period + self.max_delay


@dataclass
class App:
    """An installation without single flight and without idempotency keys."""

    netloc: str
    pair: Pair
    lock: Lock = field(default_factory=Lock)

    def call(self) -> Outcome:
        """Send a request; if refused, refresh with the stored token and repeat it once."""
        status = self._status_of_call()
        if status != HTTPStatus.UNAUTHORIZED:
            return False, status
        form = {"grant_type": "refresh_token", "refresh_token": self.pair["refresh_token"]}
        status, pair = self._send("POST", "/users/token", urlencode(form), FORM)
        if status != HTTPStatus.OK:
            return True, status
        with self.lock:
            if pair["generation"] > self.pair["generation"]:
                self.pair = pair
        return True, self._status_of_call()

    def call_in_parallel(self, calls: int, after: float) -> list[Outcome]:
        time.sleep(after)
        with ThreadPoolExecutor(calls) as pool:
            return [call.result() for call in [pool.submit(self.call) for _ in range(calls)]]

    def _status_of_call(self) -> int:
        authorization = {"Authorization": f"Bearer {self.pair['access_token']}"}
        return self._send("GET", "/users/me", None, authorization)[0]

    def _send(
        self, method: str, path: str, body: str | None, headers: dict[str, str]
    ) -> tuple[int, Any]:
        connection = HTTPConnection(self.netloc, timeout=PATIENCE)
        connection.request(method, path, body, headers)
        response = connection.getresponse()
        content = response.read()
        connection.close()
        return response.status, json.loads(content)


def storm_in_threads(
    storm: Storm, url: str, pairs: Sequence[Pair], expire: Callable[[], None]
) -> list[Outcome]:
    """Run all rounds, the sessions side by side, and return the outcome of every call."""
    apps = [App(urlsplit(url).netloc, pair) for pair in pairs]
    outcomes: list[Outcome] = []
    with ThreadPoolExecutor(len(apps)) as pool:
        for number in range(storm.rounds):
            expire()
            # Every other session waits with its later rounds, for the end of the grace period.
            waits = [storm.pause if number and index % 2 else 0.0 for index in range(len(apps))]
            rounds = [
                pool.submit(app.call_in_parallel, storm.calls, wait)
                for app, wait in zip(apps, waits, strict=True)
            ]
            outcomes += [outcome for one in rounds for outcome in one.result()]
    return outcomes
