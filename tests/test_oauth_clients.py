"""OAuth clients that know nothing of this project keep a user signed in, against a live server.

Access tokens live for two seconds there, so that one can be watched as it expires.
"""

import json
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
import requests
from authlib.integrations.base_client import OAuthError
from authlib.integrations.requests_client import OAuth2Session as AuthlibSession
from django.contrib.auth.models import User
from oauthlib.oauth2 import OAuth2Error
from requests_oauthlib import OAuth2Session

from tests.effort import chosen
from tests.lossy_network import LossyNetwork, running
from tests.node_driver import CLIENTS, needs_node
from tests.phone import PASSWORD
from tests.ports import HOST
from tests.services import new_service
from tests.web_server import QUICK_HASHES, of_this_run, web_server

pytestmark = [pytest.mark.waits, pytest.mark.postgresql, pytest.mark.django_db(transaction=True)]

TTL = 2  # seconds
CALLS = chosen(6, 20)
SHORT_LIVES = {
    "ACCESS_TOKEN_TTL": f"{TTL}s",
    "ACCESS_TOKEN_MIN_RENEWAL_INTERVAL": "1",
    "REFRESH_TOKEN_GRACE_PERIOD": "1900ms",
}
Pair = dict[str, Any]


@dataclass(frozen=True)
class Library:
    """A client library, as an app uses it that was written for any OAuth server."""

    session: Callable[[str, Pair], Any]
    revoke: Callable[[Any, str, str], requests.Response]


def requests_oauthlib_session(url: str, pair: Pair) -> OAuth2Session:
    return OAuth2Session(
        "app",
        token=pair,
        auto_refresh_url=f"{url}/users/token",
        auto_refresh_kwargs={"client_id": "app", "auth": ("app", "")},
        token_updater=pair.update,
    )


def requests_oauthlib_revoke(session: OAuth2Session, url: str, token: str) -> requests.Response:
    prepared = session._client.prepare_token_revocation_request(url, token, "refresh_token")
    answer: requests.Response = session.post(
        prepared[0], headers=prepared[1], data=prepared[2], withhold_token=True
    )
    return answer


def authlib_session(url: str, pair: Pair) -> AuthlibSession:
    return AuthlibSession(
        "app",
        token=pair,
        token_endpoint=f"{url}/users/token",
        token_endpoint_auth_method="none",
        revocation_endpoint_auth_method="none",
        update_token=lambda token, **_: pair.update(token),
        # A minute unless told, and so more than these tokens live.
        leeway=0,
    )


def authlib_revoke(session: AuthlibSession, url: str, token: str) -> requests.Response:
    answer: requests.Response = session.revoke_token(url, token, "refresh_token")
    return answer


LIBRARIES = [
    pytest.param(
        Library(requests_oauthlib_session, requests_oauthlib_revoke), id="requests-oauthlib"
    ),
    pytest.param(Library(authlib_session, authlib_revoke), id="Authlib"),
]
with_each_library = pytest.mark.parametrize("library", LIBRARIES)


@pytest.fixture(scope="module")
def url(django_db_setup: None, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    changes = of_this_run() | QUICK_HASHES | SHORT_LIVES
    with web_server(tmp_path_factory.mktemp("live"), **changes) as server:
        yield f"http://{HOST}:{server.port}"


@pytest.fixture
def lossy_url(url: str) -> Iterator[str]:
    with running(LossyNetwork(url)) as network:
        yield network.url


@pytest.fixture(autouse=True)
def _plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tell both libraries that this server is on loopback."""
    monkeypatch.setenv("OAUTHLIB_INSECURE_TRANSPORT", "1")
    monkeypatch.setenv("AUTHLIB_INSECURE_TRANSPORT", "1")


@pytest.fixture
def owner(transactional_db: None) -> User:
    return User.objects.create_user(f"owner-{uuid4().hex}", password=PASSWORD)


def sign_in(url: str, owner: User) -> Pair:
    body = {"username": owner.username, "password": PASSWORD}
    pair: Pair = requests.post(f"{url}/users/login", json=body, timeout=30).json()
    assert set(pair) >= {"access_token", "refresh_token"}, pair
    return pair


def let_expire() -> None:
    # A real process has a real clock; oauthlib rounds its own to the nearest second.
    time.sleep(TTL + 0.6)


def called(session: Any, url: str) -> tuple[int, str]:
    """Return status, and the user's name or the code of the refusal."""
    answer = session.get(f"{url}/users/me")
    body = answer.json()
    return answer.status_code, body.get("username") or body["error"]


def code_of_refusal(session: Any, url: str, refresh_token: str) -> Any:
    with pytest.raises((OAuth2Error, OAuthError)) as refused:
        session.refresh_token(f"{url}/users/token", refresh_token=refresh_token)
    return refused.value.error


# Each client on Node lives through the same story, and tells what came of it.
AS_TOLD = {
    "parallel calls": "20 answered, 1 new refresh token",
    "lost answer": "the same pair",
    "expired": "invalid_token",
    "replayed": "invalid_grant",
    "call after the replay": "invalid_token",
    "refresh after the replay": "invalid_grant",
    "call after the revocation": "invalid_token",
    "refresh after the revocation": "invalid_grant",
}
ASKED = {"introspected": True, "introspected by a stranger": "invalid_client"}


@needs_node
@pytest.mark.parametrize(
    ("client", "told"),
    [("openid_client", AS_TOLD | ASKED), ("oauth4webapi", AS_TOLD | ASKED), ("axios", AS_TOLD)],
)
def test_a_client_on_node_passes_the_whole_story(
    url: str, lossy_url: str, owner: User, client: str, told: dict[str, Any]
) -> None:
    service = new_service()
    given = {
        "url": url,
        "lossyURL": lossy_url,
        "username": owner.username,
        "password": PASSWORD,
        "lifetime": TTL * 1000,
        "service": {"id": str(service.pk), "secret": service.raw_secret},
    }
    command = ["node", f"{client}.mjs", json.dumps(given)]
    ran = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout) == told


@with_each_library
def test_an_expired_token_is_refreshed_on_the_way(url: str, owner: User, library: Library) -> None:
    pair = sign_in(url, owner)
    first = dict(pair)
    session = library.session(url, pair)
    assert called(session, url) == (200, owner.username)
    let_expire()
    assert called(session, url) == (200, owner.username)
    assert pair["access_token"] != first["access_token"]
    assert pair["refresh_token"] != first["refresh_token"]
    assert not pair.get("scope")


@with_each_library
def test_parallel_calls_with_an_expired_token_end_no_session(
    url: str, owner: User, library: Library
) -> None:
    pair = sign_in(url, owner)
    # As an app does that shares nothing but what it stored: each refreshes by itself.
    copies = [dict(pair) | {"expires_at": time.time() + TTL} for _ in range(CALLS)]
    let_expire()
    with ThreadPoolExecutor(CALLS) as pool:
        calls = list(pool.map(lambda copy: called(library.session(url, copy), url), copies))
    assert calls == [(200, owner.username)] * CALLS
    assert len({copy["refresh_token"] for copy in copies} - {pair["refresh_token"]}) == 1


@with_each_library
def test_a_lost_answer_is_asked_for_again_and_is_the_same(
    url: str, lossy_url: str, owner: User, library: Library
) -> None:
    pair = sign_in(url, owner)
    session = library.session(lossy_url, pair)
    with pytest.raises(requests.ConnectionError):
        session.refresh_token(f"{lossy_url}/users/token")
    session.refresh_token(f"{lossy_url}/users/token", refresh_token=pair["refresh_token"])
    assert called(session, lossy_url) == (200, owner.username)
    assert code_of_refusal(session, url, "axr_unknown") == "invalid_grant"


@with_each_library
def test_a_replay_gets_its_error_code_and_ends_that_session_only(
    url: str, owner: User, library: Library
) -> None:
    stolen, other = sign_in(url, owner), sign_in(url, owner)
    session, tablet = library.session(url, dict(stolen)), library.session(url, other)
    session.refresh_token(f"{url}/users/token")
    assert called(session, url) == (200, owner.username)
    # The grace period is shorter than an access token lives.
    time.sleep(TTL)
    # The server may have closed what was idle for so long.
    session.close()
    session.refresh_token(f"{url}/users/token")
    assert called(session, url) == (200, owner.username)
    thief = library.session(url, dict(stolen))
    assert code_of_refusal(thief, url, stolen["refresh_token"]) == "invalid_grant"
    assert called(session, url) == (401, "invalid_token")
    assert code_of_refusal(session, url, session.token["refresh_token"]) == "invalid_grant"
    # Its access token has expired by now, on a slow machine at least: the session has not ended.
    tablet.refresh_token(f"{url}/users/token")
    assert called(tablet, url) == (200, owner.username)


@with_each_library
def test_a_revoked_token_gets_its_error_code(url: str, owner: User, library: Library) -> None:
    pair = sign_in(url, owner)
    session = library.session(url, dict(pair))
    answer = library.revoke(session, f"{url}/users/revoke", pair["refresh_token"])
    assert (answer.status_code, answer.json()) == (200, {})
    assert called(session, url) == (401, "invalid_token")
    assert code_of_refusal(session, url, pair["refresh_token"]) == "invalid_grant"


def test_authlib_asks_about_a_token_as_a_service(url: str, owner: User) -> None:
    pair, service = sign_in(url, owner), new_service()
    session = AuthlibSession(str(service.pk), str(service.raw_secret))
    told = session.introspect_token(f"{url}/users/introspect", pair["access_token"]).json()
    assert (told["active"], told["username"], told["device_id"]) == (
        True,
        owner.username,
        pair["device"]["id"],
    )
