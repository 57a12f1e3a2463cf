"""The clients of the guide as processes of one app that share a store, on a network that fails."""

import json
import time
from collections.abc import Callable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.sessions.revoke import revoke_all
from tests.app_process import AppProcess, Compiled, compile_typescript
from tests.effort import chosen
from tests.expiry import expire_access_tokens
from tests.kotlin_driver import compile_kotlin, needs_kotlin
from tests.lossy_network import Network, ScriptedNetwork, running
from tests.node_driver import needs_node
from tests.phone import PASSWORD
from tests.ports import HOST
from tests.web_server import QUICK_HASHES, of_this_run, web_server

# How long a response may take, in seconds; apps wait for 20.
TIMEOUT = chosen(8, 20)
PAGE = b"<h1>Please accept our terms</h1>"
SIGN_IN = ("sign-in", "alice", PASSWORD)

pytestmark = [
    pytest.mark.waits,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
]

Compile = Callable[[Path], Compiled]
TYPESCRIPT = pytest.param(compile_typescript, id="typescript", marks=needs_node)
KOTLIN = [
    pytest.param(partial(compile_kotlin, okhttp=okhttp), id=f"kotlin-{okhttp}", marks=needs_kotlin)
    for okhttp in ("okhttp-4", "okhttp-5")
]


# In the soak only: compiling Kotlin takes longer than all that is tested with it.
@pytest.fixture(scope="module", params=chosen([TYPESCRIPT], [TYPESCRIPT, *KOTLIN]))
def compiled(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    compile_app: Compile = request.param
    return compile_app(tmp_path_factory.mktemp("app"))


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory, django_db_setup: None) -> Iterator[str]:
    with web_server(tmp_path_factory.mktemp("web"), **of_this_run() | QUICK_HASHES) as server:
        yield f"http://{HOST}:{server.port}"


@pytest.fixture
def network(url: str, alice: User) -> Iterator[ScriptedNetwork]:
    with running(ScriptedNetwork(url)) as network:
        yield network


@pytest.fixture
def app(network: ScriptedNetwork, compiled: Compiled, tmp_path: Path) -> Iterator[AppProcess]:
    """Return a process of an app that has signed in."""
    with AppProcess(compiled, network.url, tmp_path / "store.json", TIMEOUT) as process:
        assert process.do(*SIGN_IN) == "done"
        yield process


@pytest.fixture
def other(app: AppProcess) -> Iterator[AppProcess]:
    """Return another process of the same app."""
    with app.another() as process:
        yield process


def test_a_process_whose_answer_hangs_uses_the_pair_that_another_one_has_stored(
    network: ScriptedNetwork, app: AppProcess, other: AppProcess
) -> None:
    expire_access_tokens()
    with network.hanging("/users/token") as hanging:
        start = time.monotonic()
        app.start("call")
        hanging.wait_for_one()
        assert other.do("call") == HTTPStatus.OK
        expire_access_tokens()
        assert other.do("call") == HTTPStatus.OK
        assert app.result() == HTTPStatus.OK
        assert time.monotonic() - start >= TIMEOUT
    assert app.stored["pair"]["generation"] == DeviceSession.objects.get().generation
    refreshes = network.bodies_of("/users/token")
    keys = {sent.headers["Idempotency-Key"] for sent in network.sent_to("/users/token")}
    # One that hung, the same of the other process, and the next one; no further try.
    assert (len(refreshes), len(keys)) == (3, 2)
    assert not SecurityEvent.objects.filter(
        kind__in=[EventKind.TWO_PLACES, EventKind.REUSE_DETECTED]
    ).exists()


@pytest.mark.parametrize("retry_after", ["120", "Fri, 27 Nov 2026 06:02:00 GMT"])
def test_a_wait_that_the_server_asks_for_is_kept_in_seconds_and_as_a_date(
    network: ScriptedNetwork, app: AppProcess, retry_after: str
) -> None:
    expire_access_tokens()
    # Two minutes by the server's clock, whatever that of the device says.
    headers = {"Retry-After": retry_after, "Date": "Fri, 27 Nov 2026 06:00:00 GMT"}
    network.refuse_once("/users/token", HTTPStatus.SERVICE_UNAVAILABLE, headers)
    assert app.do("call") == "Unavailable"
    assert len(network.sent_to("/users/token")) == 1
    assert app.do("call") == HTTPStatus.OK


def test_a_body_is_sent_again_after_a_refresh(network: ScriptedNetwork, app: AppProcess) -> None:
    expire_access_tokens()
    session = DeviceSession.objects.get()
    assert app.do("rename", str(session.pk), "renamed") == HTTPStatus.OK
    sent = network.bodies_of(f"/users/devices/{session.pk}")
    assert [json.loads(body) for body in sent] == [{"name": "renamed"}] * 2
    session.refresh_from_db()
    assert session.name == "renamed"


def test_a_response_that_says_nothing_about_the_tokens_is_followed_by_another_try(
    network: ScriptedNetwork, app: AppProcess
) -> None:
    expire_access_tokens()
    for status, headers, body in (
        (HTTPStatus.OK, {}, PAGE),
        (HTTPStatus.OK, {"Content-Type": "application/json"}, b'{"access_token": "half a pair"}'),
        (HTTPStatus.SERVICE_UNAVAILABLE, {"Retry-After": "-1"}, b""),
    ):
        network.refuse("/users/token", status, headers, body, times=1)
        tries = len(network.sent_to("/users/token"))
        assert app.do("call") == HTTPStatus.OK
        refused, repeated = network.sent_to("/users/token")[tries:]
        assert refused.headers["Idempotency-Key"]
        assert refused.headers["Idempotency-Key"] == repeated.headers["Idempotency-Key"]
        assert refused.body == repeated.body
        expire_access_tokens()


def test_no_redirect_leads_the_tokens_to_another_server(
    network: ScriptedNetwork, app: AppProcess
) -> None:
    expire_access_tokens()
    with running(Network(network.url)) as stranger:
        location = {"Location": f"{stranger.url}/users/token"}
        network.refuse_once("/users/token", HTTPStatus.TEMPORARY_REDIRECT, location)
        assert app.do("call") == HTTPStatus.OK
    assert stranger.sent == []
    assert len(network.sent_to("/users/token")) == 2


def test_requests_that_are_refused_together_share_one_refresh(
    network: ScriptedNetwork, app: AppProcess
) -> None:
    expire_access_tokens()
    assert app.do("calls", "20") == [HTTPStatus.OK] * 20
    assert len(network.sent_to("/users/token")) == 1


def test_when_the_session_has_ended_the_user_has_to_sign_in(
    network: ScriptedNetwork, app: AppProcess
) -> None:
    session = DeviceSession.objects.get()
    revoke_all(user_id=session.user_id, reason=EventKind.ENDED_BY_OPERATOR)
    assert [app.do("call"), app.do("call")] == ["SignedOut", "SignedOut"]
    assert app.stored["pair"] is None
    assert len(network.sent_to("/users/token")) == 1
    assert app.do(*SIGN_IN) == "done"
    assert app.do("call") == HTTPStatus.OK


@pytest.mark.parametrize(
    ("status", "page"),
    [
        (HTTPStatus.SERVICE_UNAVAILABLE, b""),
        (HTTPStatus.OK, PAGE),
        (HTTPStatus.FORBIDDEN, PAGE),
    ],
)
def test_a_sign_out_that_did_not_get_through_is_repeated_after_a_restart(
    network: ScriptedNetwork, app: AppProcess, status: int, page: bytes
) -> None:
    network.refuse("/users/revoke", status, {"Retry-After": "120"}, page)
    assert app.do("sign-out") == "done"
    network.wait_for("/users/revoke")
    assert app.stored["pair"] is None
    assert app.do("call") == "SignedOut"
    app.kill()
    assert DeviceSession.objects.unrevoked().exists()
    network.recover("/users/revoke")
    with app.another() as restarted:
        assert restarted.do("finish-sign-outs") == "done"
    assert not DeviceSession.objects.unrevoked().exists()
    assert app.stored["sign_outs"] == []


def test_a_device_that_signs_in_again_is_known(app: AppProcess) -> None:
    for _ in range(2):
        app.do("sign-out")
        assert app.do(*SIGN_IN) == "done"
    assert not SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).exists()
