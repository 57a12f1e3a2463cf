"""The clients of the guide as processes of one app that share a store, on a network that fails."""

import json
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.passwords.hashers import BackgroundArgon2PasswordHasher
from tests.app_process import AppProcess, Compiled, compile_typescript
from tests.effort import chosen
from tests.expiry import expire_access_tokens
from tests.lossy_network import ScriptedNetwork, running
from tests.node_driver import needs_node
from tests.phone import PASSWORD
from tests.ports import HOST
from tests.web_server import of_this_run, web_server

# How long a response may take, in seconds; apps wait for 20.
TIMEOUT = chosen(8, 20)
SIGN_IN = ("sign-in", "alice", PASSWORD)

pytestmark = [
    pytest.mark.waits,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    needs_node,
]


@pytest.fixture(scope="module")
def compiled(tmp_path_factory: pytest.TempPathFactory) -> Compiled:
    return compile_typescript(tmp_path_factory.mktemp("app"))


@pytest.fixture
def network(tmp_path: Path, transactional_db: None) -> Iterator[ScriptedNetwork]:
    # As the server hashes, so that a sign-in changes nothing.
    hasher = BackgroundArgon2PasswordHasher()
    password = hasher.encode(PASSWORD, hasher.salt())
    User.objects.create(username="alice", password=password)
    with (
        web_server(tmp_path, **of_this_run()) as server,
        running(ScriptedNetwork(f"http://{HOST}:{server.port}")) as network,
    ):
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
        app.start("call")
        hanging.wait_for_one()
        assert other.do("call") == HTTPStatus.OK
        expire_access_tokens()
        assert other.do("call") == HTTPStatus.OK
        assert app.result() == HTTPStatus.OK
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


@pytest.mark.parametrize("page", ["", "<h1>Please accept our terms</h1>"])
def test_a_sign_out_that_did_not_get_through_is_repeated_after_a_restart(
    network: ScriptedNetwork, app: AppProcess, page: str
) -> None:
    status = HTTPStatus.OK if page else HTTPStatus.SERVICE_UNAVAILABLE
    network.refuse("/users/revoke", status, {"Retry-After": "120"}, page.encode())
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
