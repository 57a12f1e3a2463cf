"""The TypeScript client of the guide, against a real server and a network that loses answers."""

import json
import re
import shutil
from collections import defaultdict
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession, EventKind
from authx.sessions.revoke import revoke_all
from tests.app_process import compile_file, compile_program
from tests.expiry import expire_access_tokens
from tests.lossy_network import Network, running
from tests.node_driver import needs_node, run_driver
from tests.phone import PASSWORD
from tests.ports import HOST
from tests.web_server import QUICK_HASHES, ROOT, of_this_run, web_server

GRACE_PERIOD = {"REFRESH_TOKEN_GRACE_PERIOD": "1s"}
# The other process of the app has refreshed twice: its pair stays, and the call gets through.
OVERTAKEN = {"status": 200, "kept": True, "refreshes": 3, "keys": 2}

pytestmark = [
    pytest.mark.waits,
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    needs_node,
]


@pytest.fixture
def network(tmp_path: Path, transactional_db: None) -> Iterator[Network]:
    """Return a network in front of a server, which records what reaches it."""
    with (
        web_server(tmp_path, **of_this_run() | QUICK_HASHES | GRACE_PERIOD) as server,
        running(Network(f"http://{HOST}:{server.port}")) as network,
    ):
        yield network


@pytest.fixture
def user(transactional_db: None) -> User:
    return User.objects.create_user("alice", password=PASSWORD)


def revoke() -> None:
    for user in User.objects.all():
        revoke_all(user_id=user.pk, reason=EventKind.ENDED_BY_OPERATOR)


def keys_of_refreshes(network: Network) -> dict[str, set[str | None]]:
    """Return which idempotency keys came with each refresh token."""
    keys = defaultdict(set)
    for sent in network.sent:
        if sent.path == "/users/token":
            keys[json.loads(sent.body)["refresh_token"]].add(sent.headers["Idempotency-Key"])
    return dict(keys)


def test_the_client_stays_signed_in_until_the_session_ends(
    network: Network, user: User, tmp_path: Path
) -> None:
    driver = compile_program("drive_session", tmp_path)
    deeds = {"expire": expire_access_tokens, "revoke": revoke}
    report = run_driver(driver, network.url, user.username, PASSWORD, **deeds)
    assert report == {
        "wrong_password": "invalid_grant",
        "sign_in_page": True,
        "fresh": {"refreshes": 0, "keys": 0, "outcomes": [200]},
        "expired": {"refreshes": 1, "keys": 1, "outcomes": [200]},
        "lost_answers": {"refreshes": 3, "keys": 1, "outcomes": [200]},
        "server_away": {"refreshes": 2, "keys": 1, "outcomes": [200]},
        "gateway_pages": {"refreshes": 4, "keys": 1, "outcomes": [200]},
        "restarted": {"before": "Unavailable", "refreshes": 3, "keys": 1, "outcomes": [200]},
        "spent_pair": {"refreshes": 2, "keys": 2, "outcomes": [200]},
        "two_processes": {"statuses": [200, 200], "keys": 1},
        "overtaken": {"status": 200, "other": 200, "refreshes": 2, "keys": 1},
        "late_answer": OVERTAKEN | {"last": HTTPStatus.OK},
        "late_duplicate": OVERTAKEN | {"last": HTTPStatus.SERVICE_UNAVAILABLE},
        "led_astray": {"sent": 0, "strangers": []},
        "revoked": {"refreshes": 1, "keys": 1, "outcomes": ["SignedOut"]},
        "told_signed_out": 1,
        "stored_after": None,
        "signed_out": {"under_way": True, "stored": None, "had": True},
        "sent_before_stored": 0,
        "wrong_writes": [],
    }
    assert not DeviceSession.objects.unrevoked().exists()
    keys = list(keys_of_refreshes(network).values())
    assert all(len(keys_of_one) == 1 for keys_of_one in keys)
    distinct = set().union(*keys)
    assert len(distinct) == len(keys)
    assert all(re.fullmatch(r"[!-~]{16,128}", key or "") for key in distinct)


AROUND_THE_GUIDE = """
const [base, username, password] = process.argv.slice(2) as [string, string, string];
const installation_id = crypto.randomUUID();
const navigate = (page: string) => { throw new Error(page); };
"""


def test_the_lines_of_the_guide_sign_in_call_and_sign_out(
    network: Network, user: User, tmp_path: Path
) -> None:
    page = (ROOT / "docs" / "clients.md").read_text()
    store, use = re.findall(r"^```ts\n(.*?)^```$", page, re.DOTALL | re.MULTILINE)
    use = use.replace('"https://api.example.com"', "base").replace("/orders", "/users/me")
    shutil.copy(ROOT / "docs" / "clients" / "session.ts", tmp_path)
    program = tmp_path / "app.ts"
    program.write_text(f"{store}{AROUND_THE_GUIDE}{use}console.log(await response.text());")
    compiled = compile_file(program, tmp_path, tmp_path / "build")
    report = run_driver(compiled, network.url, user.username, PASSWORD)
    assert report["username"] == user.username
    assert {sent.path for sent in network.sent} == {"/users/login", "/users/me", "/users/revoke"}
    assert not DeviceSession.objects.unrevoked().exists()
