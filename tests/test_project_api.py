"""A project on the built wheel that follows the page of the Python API, over HTTP."""

import json
from http import HTTPStatus
from pathlib import Path

import httpx
import pytest

from tests.phone import PASSWORD
from tests.shop import ROOT, Shop

pytestmark = pytest.mark.waits

PAGE = ROOT / "docs" / "python.md"
ONE_TIME = """
from django.contrib.auth.models import User

def user_of_code(username, code):
    return User.objects.filter(username=username).first() if code == "123456" else None
"""
USERS = f"""
from django.contrib.auth.models import User
User.objects.create_user("alice", "alice@example.com", {PASSWORD!r})
User.objects.create_user("unverified", "", {PASSWORD!r})
"""
DATA = {"push_token": "fcm:abc"}


@pytest.fixture
def shop(wheel: Path, tmp_path: Path) -> Shop:
    shop = Shop(tmp_path, wheel)
    shop.append("accounts/one_time.py", ONE_TIME)
    shop.follow("Install")
    own = ("Refuse a sign-in", "Lifetimes by user and device", "Subclass the views")
    shop.follow(*own, "Other credentials than a password", guide=PAGE)
    shop.append("shop/settings.py", "AUTHX |= {'SIGN_IN_POLICY': 'accounts.policy.may_sign_in'}")
    shop.manage("migrate")
    shop.manage("check", "--fail-level", "WARNING")
    shop.shell(USERS)
    return shop


def bearer(pair: dict[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {pair['access_token']}"}


def sign_in(http: httpx.Client, username: str = "alice", **fields: object) -> httpx.Response:
    body = {"username": username, "password": PASSWORD, "terms": "2026-01", **fields}
    return http.post("/users/login", json=body)


def test_a_project_makes_sign_in_its_own(shop: Shop) -> None:
    person = {"email": "alice@example.com", "full_name": ""}
    with shop.serving() as http:
        pair = sign_in(http, device={"platform": "tv", "data": DATA}).json()
        assert (pair["person"], pair["refresh_token_expires_in"]) == (person, 90 * 86400)
        me = http.get("/users/me", headers=bearer(pair)).json()
        assert (me["person"], me["device"]["data"]) == (person, DATA)
        old_terms = sign_in(http, terms="2025-01")
        assert old_terms.json()["fields"] == {"terms": ["Accept the new terms."]}
        refused = sign_in(http, "unverified")
        assert (refused.status_code, refused.json()["error"]) == (403, "unverified")
        wrong = sign_in(http, "unverified", password="wrong")
        unknown = sign_in(http, "nobody")
        assert (wrong.status_code, wrong.content) == (HTTPStatus.BAD_REQUEST, unknown.content)
        code = {"username": "alice", "code": "123456", "device": {"name": "tablet"}}
        by_code = http.post("/users/code", json=code).json()
        assert by_code["device"]["name"] == "tablet"
        path = f"/users/devices/{by_code['device']['id']}"
        changed = http.patch(path, json={"data": {"locale": "de"}}, headers=bearer(by_code))
        assert changed.json()["data"] == {"locale": "de"}
        assert http.get(path, headers=bearer(pair)).json()["data"] is None


STORY = """
import asyncio, json
from authx import api
from django.contrib.auth.models import User

ended = []
api.sessions_revoked.connect(lambda sessions, **_: ended.extend(sessions), weak=False)
alice = User.objects.get(username="alice")
device = api.Device(installation_id="tv", platform="tv", data={"push_token": "fcm:abc"})
pair = api.open_session(user=alice, device=device)
body = api.pair_body(pair)
session = asyncio.run(api.aauthenticate_token(body["access_token"]))
told = {"user": session.user.username, "data": session.data}
told["live"] = [one.data for one in api.sessions_of(alice)]
api.revoke_all(user_id=alice.pk, reason=api.EventKind.ENDED_BY_OPERATOR)
told["ended"] = [[one.user_id == alice.pk, one.id == session.pk, one.data] for one in ended]
try:
    api.authenticate_token(body["access_token"])
except api.InvalidAccessTokenError:
    told["refused"] = True
print(json.dumps(told))
"""


def test_a_project_opens_uses_and_ends_sessions_without_a_request(shop: Shop) -> None:
    (told,) = shop.shell(STORY)
    assert json.loads(told) == {
        "user": "alice",
        "data": DATA,
        "live": [DATA],
        "ended": [[True, True, DATA]],
        "refused": True,
    }
