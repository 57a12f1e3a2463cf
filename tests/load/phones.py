"""Phones in a closed loop, in a process of their own: each waits for its answer."""

import gc
import json
import multiprocessing
import sys
from collections import deque
from collections.abc import Callable, Sequence
from http.client import HTTPConnection, HTTPException
from multiprocessing.connection import Connection
from secrets import SystemRandom, token_urlsafe
from threading import Thread
from time import monotonic, sleep
from types import TracebackType
from typing import Any, Final, NamedTuple, Self

from tests.cluster.users import PASSWORD, name_of
from tests.ports import HOST

RANDOM: Final = SystemRandom()
CALLS_PER_REFRESH: Final = 4
# Longer than any answer of the balancer takes.
TIMEOUT: Final = 20  # seconds
PHONES_PER_NETWORK: Final = 200
SWITCH_SECONDS: Final = 0.0005
REFRESH: Final = "refresh"
CALL: Final = "call"
SIGN_IN: Final = "sign-in"
AGENT: Final = "Example/4.12.0 (iPhone; iOS 19.1; Scale/3.00)"


class Answer(NamedTuple):
    """One request: what for, when by the clock `monotonic`, how long, and its status or 0."""

    kind: str
    began: float
    seconds: float
    status: int


class Fleet:
    """The other end of the process with the phones."""

    def __init__(self, port: int, raw_tokens: Sequence[str], users: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        arguments = (theirs, port, raw_tokens, users)
        self.process = spawn.Process(target=_main, args=arguments, daemon=True)

    def __enter__(self) -> Self:
        self.process.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.join()

    def start(self, what: str, phones: int, pause: float = 0) -> None:
        """Let phones sign in or use their sessions, with about this pause between two requests."""
        self.ours.send((what, phones, pause))

    def stop(self) -> list[Answer]:
        """Return all answers since `start`."""
        self.ours.send(None)
        answers: list[Answer] = self.ours.recv()
        return answers


def _main(pipe: Connection, port: int, raw_tokens: Sequence[str], users: int) -> None:
    # Answers add up, and a collection would stop all phones; a thread waits for its turn no longer
    # than a request takes.
    gc.disable()
    sys.setswitchinterval(SWITCH_SECONDS)
    shared = Shared(port, deque(raw_tokens), users)
    while True:
        what, phones, pause = pipe.recv()
        shared.pause, shared.is_over = pause, False
        shared.answers = []
        threads = [
            Thread(target=Phone(shared, number).run, args=(what,)) for number in range(phones)
        ]
        for thread in threads:
            thread.start()
        pipe.recv()
        shared.is_over = True
        for thread in threads:
            thread.join()
        pipe.send(shared.answers)


class Shared:
    """What all phones have in common."""

    def __init__(self, port: int, raw_tokens: deque[str], users: int) -> None:
        self.port, self.raw_tokens, self.users = port, raw_tokens, users
        self.pause, self.is_over = 0.0, False
        self.answers: list[Answer] = []


class Phone:
    """One connection, from an address of its own: the rate limits count by client network."""

    def __init__(self, shared: Shared, number: int) -> None:
        self.shared = shared
        address = f"127.{100 + number // PHONES_PER_NETWORK}.0.{number % PHONES_PER_NETWORK + 1}"
        self.http = HTTPConnection(HOST, shared.port, TIMEOUT, source_address=(address, 0))

    def run(self, what: str) -> None:
        actions = {SIGN_IN: self.sign_in, REFRESH: self.refresh, CALL: self.visit}
        act: Callable[[], Any] = actions[what]
        sleep(RANDOM.uniform(0, self.shared.pause))
        while not self.shared.is_over:
            act()
        self.http.close()

    def sign_in(self) -> None:
        username = name_of(RANDOM.randrange(self.shared.users))
        device = {"installation_id": token_urlsafe(), "name": "Anna's phone", "platform": "ios"}
        self.send(SIGN_IN, "/users/login", username=username, password=PASSWORD, device=device)

    def visit(self) -> None:
        """Refresh a session and use it."""
        pair = self.refresh()
        for _ in range(CALLS_PER_REFRESH if pair else 0):
            self.send(CALL, "/users/me", raw_access_token=pair["access_token"])

    def refresh(self) -> dict[str, Any]:
        """Refresh the session that was idle longest; return the new pair, or nothing."""
        raw_token = self.shared.raw_tokens.popleft()
        body = {"grant_type": "refresh_token", "refresh_token": raw_token}
        pair = self.send(REFRESH, "/users/token", idempotency_key=token_urlsafe(), **body)
        self.shared.raw_tokens.append(pair.get("refresh_token", raw_token))
        return pair

    def send(
        self,
        kind: str,
        path: str,
        *,
        raw_access_token: str = "",
        idempotency_key: str = "",
        **body: Any,
    ) -> dict[str, Any]:
        """Send a request, and return the body of a success."""
        headers = {"User-Agent": AGENT, "Content-Type": "application/json"}
        if raw_access_token:
            headers["Authorization"] = f"Bearer {raw_access_token}"
        if idempotency_key:
            headers["Idempotency-Key"] = idempotency_key
        content = json.dumps(body).encode() if body else None
        began, rest = monotonic(), RANDOM.uniform(0.5, 1.5) * self.shared.pause
        try:
            self.http.request("POST" if body else "GET", path, content, headers)
            response = self.http.getresponse()
            status, answer = response.status, response.read()
            if wait := response.getheader("Retry-After"):
                rest = float(wait)
                # The balancer would close it meanwhile.
                self.http.close()
        except (OSError, HTTPException):
            self.http.close()
            status, answer = 0, b""
        self.shared.answers.append(Answer(kind, began, monotonic() - began, status))
        sleep(rest)
        found: dict[str, Any] = json.loads(answer) if status in range(200, 300) else {}
        return found
