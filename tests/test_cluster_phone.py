"""What a phone of `make cluster` counts, shown with servers that do one thing wrong."""

import asyncio
from collections.abc import Callable, Coroutine
from contextlib import suppress
from http import HTTPStatus
from itertools import count
from typing import Any

import httpx
import pytest

from tests.cluster import phone as phone_module
from tests.cluster.accounts import Account
from tests.cluster.client import Shared
from tests.cluster.phone import Phone

LIFETIME = 11
Respond = (
    Callable[[httpx.Request], httpx.Response]
    | Callable[[httpx.Request], Coroutine[None, None, httpx.Response]]
)


class Server:
    """Answers sign-ins and refreshes; `answers` are those to users/me, the last one for ever."""

    def __init__(self, *answers: HTTPStatus) -> None:
        self.answers, self.generations = list(answers), count()

    def __call__(self, request: httpx.Request) -> httpx.Response:
        if request.url.path != "/users/me":
            return httpx.Response(HTTPStatus.OK, json=self.pair(next(self.generations)))
        status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        return httpx.Response(status, json={"error": "invalid_token"})

    def pair(self, generation: int) -> dict[str, Any]:
        tokens = {"access_token": f"access-{generation}", "refresh_token": f"refresh-{generation}"}
        device = {"device": {"id": "1"}, "generation": generation}
        return tokens | device | {"expires_in": LIFETIME}


@pytest.fixture(autouse=True)
def _no_lost_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phone_module, "LOSE", 0)


def phone_with(respond: Respond) -> Phone:
    phone = Phone(Shared("http://test"), Account("alice"), "phone", "127.0.0.1")
    transport = httpx.MockTransport(respond)
    phone.client.http = httpx.AsyncClient(base_url="http://test", transport=transport)
    return phone


def signed_in(*answers: HTTPStatus) -> Phone:
    phone = phone_with(Server(*answers))
    asyncio.run(phone.sign_in())
    return phone


def test_a_server_that_refuses_every_access_token_breaks_a_promise() -> None:
    phone = signed_in(HTTPStatus.UNAUTHORIZED)
    asyncio.run(phone.call())
    counts = phone.client.shared.counts
    assert counts.unexpected == 2 * ["me: 401 invalid_token for a live access token"]
    assert counts.is_broken


def test_an_expired_access_token_is_refreshed_and_breaks_nothing() -> None:
    phone = signed_in(HTTPStatus.UNAUTHORIZED, HTTPStatus.OK)
    phone.asked_at -= LIFETIME
    asyncio.run(phone.call())
    counts = phone.client.shared.counts
    assert counts.numbers["refreshes"] == 1
    assert not counts.is_broken


def test_a_refresh_that_was_broken_off_makes_the_token_no_younger() -> None:
    phone = signed_in(HTTPStatus.UNAUTHORIZED, HTTPStatus.OK)
    phone.asked_at -= LIFETIME
    connected = phone.client.http

    async def hang(_: httpx.Request) -> httpx.Response:
        await asyncio.sleep(LIFETIME)
        raise AssertionError

    async def break_off() -> None:
        phone.client.http = phone_with(hang).client.http
        with suppress(TimeoutError):
            await asyncio.wait_for(phone.refresh(), 0.01)

    asyncio.run(break_off())
    phone.client.http = connected
    asyncio.run(phone.call())
    counts = phone.client.shared.counts
    assert counts.numbers["refreshes"] == 1
    assert not counts.is_broken


def test_a_token_that_is_refused_after_a_refresh_breaks_a_promise() -> None:
    phone = signed_in(HTTPStatus.UNAUTHORIZED)
    phone.asked_at -= LIFETIME
    asyncio.run(phone.call())
    assert len(phone.client.shared.counts.unexpected) == 1


def test_a_session_that_another_phone_ends_may_be_refused() -> None:
    phone = signed_in(HTTPStatus.UNAUTHORIZED)
    phone.account.ending.add("1")
    asyncio.run(phone.call())
    assert not phone.client.shared.counts.is_broken


@pytest.mark.parametrize(
    ("status", "ends"), [(HTTPStatus.OK, True), (HTTPStatus.UNAUTHORIZED, False)]
)
def test_a_refused_token_does_not_end_an_outage(status: HTTPStatus, *, ends: bool) -> None:
    phone = signed_in(HTTPStatus.BAD_GATEWAY, status)
    send = phone.client.send
    asyncio.run(send("GET", "me"))
    asyncio.run(send("GET", "me"))
    assert (phone.client.failing_since is None) == ends
    assert (phone.client.shared.counts.longest_outage > 0) == ends
