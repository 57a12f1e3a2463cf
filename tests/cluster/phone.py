"""An app on a phone that follows docs/clients.md, on a bad network."""

import secrets
from asyncio import sleep, wait_for
from collections.abc import Awaitable, Callable
from contextlib import suppress
from functools import partial
from time import monotonic
from typing import Any, Final

import httpx

from tests.cluster.accounts import Account, Pair
from tests.cluster.client import RANDOM, Client, Shared, code_of
from tests.cluster.users import PASSWORD

PAUSE: Final = (1.0, 3.0)  # seconds between two actions
# How often an action is something else than a call of the API.
SIGN_OUT: Final = 0.006
END_OTHERS: Final = 0.003
# How often the answer to a refresh or a sign-out is lost.
LOSE: Final = 0.15
# The longest that a phone waits before it breaks a connection off.
CUT_AFTER: Final = 0.06  # seconds
# An access token counts as expired this long before its end.
MARGIN: Final = 1  # second

INVALID_TOKEN: Final = (401, "invalid_token")
INVALID_GRANT: Final = (400, "invalid_grant")
NOT_FOUND: Final = (404, "not_found")


class Phone:
    """One installation; `pair` and `key` are its store."""

    def __init__(self, shared: Shared, account: Account, installation: str, address: str) -> None:
        self.client, self.account, self.installation = (
            Client(shared, address),
            account,
            installation,
        )
        self.pair: Pair | None = None
        self.key = ""
        # When the stored pair was asked for: its access token is at most as old as that.
        self.asked_at = 0.0
        # The last time that any pair was asked for.
        self.tried_at = 0.0

    async def run(self) -> None:
        # Not all at the same moment.
        await sleep(RANDOM.uniform(0, 2 * PAUSE[1]))
        while not self.client.shared.is_over:
            await self.act()
            await sleep(RANDOM.uniform(*PAUSE))

    async def act(self) -> None:
        dice = RANDOM.random()
        if self.pair is None:
            await self.sign_in()
        elif dice < SIGN_OUT:
            await RANDOM.choice([self.log_out, self.revoke])()
        elif dice < SIGN_OUT + END_OTHERS:
            await RANDOM.choice([self.log_out_others, self.delete_other])()
        else:
            await self.call()

    async def sign_in(self) -> None:
        device = {"installation_id": self.installation, "name": self.installation}
        body = {"username": self.account.username, "password": PASSWORD, "device": device}
        ending_all = self.account.ending_all
        response = await self.client.insist(partial(self._ask_for_pair, "login", json=body))
        if response is not None and self.client.expect(response, "login"):
            self.client.count("sign-ins")
            self._keep(response, ending_all)

    async def call(self) -> None:
        response = await self._authorized("GET", "me")
        if response is not None:
            # A 401 after a refresh: another phone ended the session, or the answer came late.
            self.client.expect(response, "me", INVALID_TOKEN)

    async def refresh(self) -> None:
        """Exchange the refresh token, with the same key at every try (rules 3 to 7)."""
        self.key = self.key or secrets.token_urlsafe()
        if RANDOM.random() < LOSE:
            await self._lose_answer(self._try_refresh)
        pair, response = self.pair, await self.client.insist(self._try_refresh)
        if response is None or pair is None:
            return
        if self.client.expect(response, "token", INVALID_GRANT):
            self.client.count("refreshes")
            self._keep(response, self.account.ending_all)
        elif code_of(response) == "invalid_grant":
            self._note_signed_out(pair)

    async def log_out(self) -> None:
        await self._end(self._session_id(), partial(self._authorized, "POST", "logout"))

    async def revoke(self) -> None:
        """Delete the pair first, then revoke its session (rule 12)."""
        body = {"token": self._pair()["refresh_token"]}
        session_id, self.pair, self.key = self._session_id(), None, ""
        send = partial(self.client.send, "POST", "revoke", json=body)
        await self._end(session_id, partial(self.client.insist, send))

    async def delete_other(self) -> None:
        for other in self.account.others(self.installation):
            await self._end(other, partial(self._authorized, "DELETE", f"devices/{other}"))

    async def log_out_others(self) -> None:
        request = partial(self._authorized, "POST", "logout-all", json={"keep_current": True})
        if self.account.ending_all % 2:
            return
        self.account.ending_all += 1
        for other in self.account.others(self.installation):
            await self._end(other, request)
        self.account.ending_all += 1

    async def _end(
        self, session_id: str, request: Callable[[], Awaitable[httpx.Response | None]]
    ) -> None:
        """End a session, this one or another, and note it once the answer is a success."""
        self.account.ending.add(session_id)
        if RANDOM.random() < LOSE:
            await self._lose_answer(request)
        response = await request()
        # The try whose answer was lost ended this phone's own session (401), or the other's (404).
        if response is None or not self.client.expect(response, "end", INVALID_TOKEN, NOT_FOUND):
            return
        self.client.count("sign-outs")
        self.account.ended.add(session_id)
        if self.pair is not None and self._session_id() == session_id:
            self.pair, self.key = None, ""

    async def _authorized(self, method: str, path: str, **options: Any) -> httpx.Response | None:
        """Send a request, and once more after a refresh where it is refused (rule 1).

        Returns None where this phone is not signed in any more.
        """
        response = None
        for _ in range(2):
            if self.pair is None:
                break
            headers = {"Authorization": f"Bearer {self.pair['access_token']}"}
            send = partial(self.client.send, method, path, headers=headers, **options)
            session_id, expires_at = self._session_id(), self.asked_at + self.pair["expires_in"]
            response = await self.client.insist(send)
            if response is None or response.status_code != httpx.codes.UNAUTHORIZED:
                break
            is_live = monotonic() < expires_at - MARGIN
            if is_live and session_id not in self.account.ending:
                detail = f"{path}: 401 {code_of(response)} for a live access token"
                self.client.shared.counts.unexpected.append(detail)
            await self.refresh()
        return response

    async def _try_refresh(self) -> httpx.Response | None:
        body = {"grant_type": "refresh_token", "refresh_token": self._pair()["refresh_token"]}
        headers = {"Idempotency-Key": self.key}
        return await self._ask_for_pair("token", json=body, headers=headers)

    async def _ask_for_pair(self, path: str, **options: Any) -> httpx.Response | None:
        self.tried_at = monotonic()
        return await self.client.send("POST", path, **options)

    async def _lose_answer(self, attempt: Callable[[], Awaitable[object]]) -> None:
        """Send a request, and break off before its answer, or do not read it."""
        self.client.count("answers lost on purpose")
        with suppress(TimeoutError):
            await wait_for(attempt(), RANDOM.choice([RANDOM.uniform(0, CUT_AFTER), None]))

    def _keep(self, response: httpx.Response, ending_all: int) -> None:
        """Store a pair without a key, unless a newer one is stored (rules 5 and 6)."""
        pair: Pair = response.json()
        self.client.shared.counts.note_write()
        is_same = self.pair is not None and self.pair["device"]["id"] == pair["device"]["id"]
        if not is_same or pair["generation"] > self._pair()["generation"]:
            self.pair, self.key, self.asked_at = pair, "", self.tried_at
            self.account.keep(self.installation, pair, ending_all=ending_all)

    def _note_signed_out(self, pair: Pair) -> None:
        session_id = pair["device"]["id"]
        if session_id not in self.account.ending:
            detail = f"{self.installation} at generation {pair['generation']}"
            self.client.shared.counts.signed_out.append(detail)
        self.pair, self.key = None, ""

    def _pair(self) -> Pair:
        assert self.pair is not None
        return self.pair

    def _session_id(self) -> str:
        session_id: str = self._pair()["device"]["id"]
        return session_id
