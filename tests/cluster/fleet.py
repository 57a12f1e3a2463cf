"""All phones, in a process of their own; the scenarios tell it when one begins and ends."""

import asyncio
import multiprocessing
from functools import partial
from http import HTTPStatus
from multiprocessing.connection import Connection
from time import monotonic
from types import TracebackType
from typing import Any, Final, Self

from tests.cluster.accounts import Account, Pair
from tests.cluster.client import Client, Shared
from tests.cluster.counts import Counts
from tests.cluster.phone import Phone
from tests.cluster.users import name_of

PHONES_PER_USER: Final = 2
PHONES_PER_NETWORK: Final = 200
# The verification asks from here.
VERIFIER_ADDRESS: Final = "127.200.0.1"
PARALLEL_CHECKS: Final = 10
# How long a phone may take to succeed once everything works again.
SETTLE_SECONDS: Final = 60


class Fleet:
    """The other end of the process with the phones."""

    def __init__(self, url: str, phones: int) -> None:
        spawn = multiprocessing.get_context("spawn")
        self.ours, theirs = spawn.Pipe()
        self.process = spawn.Process(target=_main, args=(theirs, url, phones), daemon=True)

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

    def begin(self) -> None:
        """Count from here on."""
        self._ask("begin")

    def settle(self) -> None:
        """Wait until every phone has succeeded once more; raises TimeoutError."""
        if missing := self._ask("settle"):
            raise TimeoutError(f"{missing} phones do not recover")

    def end(self) -> Counts:
        """Present the tokens of all ended sessions, and return the counts since `begin`."""
        counts: Counts = self._ask("end")
        return counts

    def _ask(self, what: str) -> Any:
        self.ours.send(what)
        return self.ours.recv()


def _main(pipe: Connection, url: str, phones: int) -> None:
    asyncio.run(Phones(url, phones).serve(pipe))


class Phones:
    """The phones and what is asked of them."""

    def __init__(self, url: str, count: int) -> None:
        self.shared = Shared(url)
        self.accounts = [Account(name_of(number)) for number in range(-(-count // PHONES_PER_USER))]
        self.phones = [
            Phone(self.shared, self.accounts[number // PHONES_PER_USER], f"phone-{number}", address)
            for number in range(count)
            for address in [f"127.{100 + number // PHONES_PER_NETWORK}.0.{number % 200 + 1}"]
        ]
        self.verifier = Client(self.shared, VERIFIER_ADDRESS)

    async def serve(self, pipe: Connection) -> None:
        tasks = [asyncio.create_task(phone.run()) for phone in self.phones]
        answers = {"begin": self.begin, "settle": self.settle, "end": self.end}
        while not any(task.done() for task in tasks):
            what = await asyncio.to_thread(pipe.recv)
            pipe.send(await answers[what]())
        # A phone ends only with an error.
        await asyncio.gather(*tasks)

    async def begin(self) -> None:
        self.shared.counts = Counts()

    async def settle(self) -> int:
        began = monotonic()
        while monotonic() < began + SETTLE_SECONDS:
            missing = sum(phone.client.succeeded_at < began for phone in self.phones)
            if not missing:
                break
            await asyncio.sleep(0.2)
        return missing

    async def end(self) -> Counts:
        gate = asyncio.Semaphore(PARALLEL_CHECKS)
        checks = [
            self._check(gate, account, session_id)
            for account in self.accounts
            for session_id in account.ended
        ]
        await asyncio.gather(*checks)
        self.shared.counts.ended = [one for account in self.accounts for one in account.ended]
        self.shared.counts.numbers["ended sessions checked"] = len(checks)
        return self.shared.counts

    async def _check(self, gate: asyncio.Semaphore, account: Account, session_id: str) -> None:
        """Present both tokens of a session whose sign-out was answered with success."""
        pair = account.pairs[session_id]
        async with gate:
            access, refresh = await self._present(pair)
        if (access, refresh) != (HTTPStatus.UNAUTHORIZED, HTTPStatus.BAD_REQUEST):
            self.shared.counts.alive.append(f"{account.username} {session_id}")
            # Reported once; it is alive from here on.
            account.ended.discard(session_id)

    async def _present(self, pair: Pair) -> tuple[int, int]:
        headers = {"Authorization": f"Bearer {pair['access_token']}"}
        grant = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
        send = self.verifier.send
        access = await self.verifier.insist(partial(send, "GET", "me", headers=headers))
        refresh = await self.verifier.insist(partial(send, "POST", "token", json=grant))
        assert access is not None
        assert refresh is not None
        return access.status_code, refresh.status_code
