"""The two examples of the guide run against the real libraries, in projects outside this one."""

import re
from pathlib import Path

import pytest

from tests.phone import PASSWORD
from tests.projects import tell
from tests.shop import BLOCK, ROOT

pytestmark = pytest.mark.waits

PAGE = (ROOT / "docs" / "examples.md").read_text()
SECTIONS = dict(re.findall(r"^## (.+?)\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
# Threads of asynchronous code share no database in memory.
IN_A_FILE = """
from pathlib import Path
DATABASES["default"]["NAME"] = Path(__file__).parent / "db.sqlite3"
"""

ALLAUTH = f"""
import re
import time
from allauth.account.models import EmailAddress
from allauth.mfa.totp.internal.auth import TOTP, format_hotp_value, generate_totp_secret, hotp_value
from authx.api import EventKind, SecurityEvent
from django.contrib.auth.models import User
from django.core import mail
from django.test.utils import setup_test_environment

setup_test_environment()
alice = User.objects.create_user("alice", "alice@example.com", {PASSWORD!r})
EmailAddress.objects.create(user=alice, email=alice.email, verified=True, primary=True)
told = {{}}
known = {{}}

def step(path, body, before=None):
    token = {{"X-Session-Token": before["meta"]["session_token"]}} if before else {{}}
    named = token | {{"X-Device-Name": "phone"}} | known
    return post("/_allauth/app/v1/auth/" + path, body, **named).json()

asked = step("code/request", {{"email": alice.email}})
code = re.search(r"^\\s*(\\S+)\\s*$", mail.outbox[0].body, re.MULTILINE)[1]
done = step("code/confirm", {{"code": code}}, asked)
told["by code"] = [asked["meta"]["is_authenticated"], "access_token" in asked["meta"]]
pair = done["meta"]
told["me"] = get("/users/me", pair).json()["device"]["name"]
grant = {{"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}}
told["refresh"] = post("/users/token", grant).json()["generation"]

known = {{"Cookie": "authx_device=" + pair["device_credential"]}}
secret = generate_totp_secret()
TOTP.activate(alice, secret)
login = {{"email": alice.email, "password": {PASSWORD!r}}}
half = step("login", login)
pending = [one["id"] for one in half["data"]["flows"] if one.get("is_pending")]
told["half"] = ["access_token" in half["meta"], pending]
totp = format_hotp_value(hotp_value(secret, int(time.time()) // 30))
whole = step("2fa/authenticate", {{"code": totp}}, half)
told["whole"] = get("/users/me", whole["meta"]).json()["username"]
told["devices"] = [one["name"] for one in get("/users/devices", whole["meta"]).json()]
around = post("/users/login", {{"username": "alice", "password": {PASSWORD!r}}})
told["around"] = [around.status_code, around.json()["error"]]
told["new devices"] = SecurityEvent.objects.filter(kind=EventKind.NEW_DEVICE).count()
told["ids"] = ids()
print(json.dumps(told))
"""

CHANNELS = f"""
import asyncio
from time import monotonic
from asgiref.sync import sync_to_async
from asgiref.testing import ApplicationCommunicator
from django.contrib.auth.models import User
from django.db import connections
from shop.asgi import application

User.objects.create_user("alice", password={PASSWORD!r})
told = {{}}

def sign_in():
    return post("/users/login", {{"username": "alice", "password": {PASSWORD!r}}}).json()

def socket_of(raw_token):
    headers = [(b"authorization", b"Bearer " + raw_token.encode())]
    scope = {{"type": "websocket", "path": "/account", "headers": headers, "subprotocols": []}}
    return ApplicationCommunicator(application, scope)

async def connect(socket):
    await socket.send_input({{"type": "websocket.connect"}})
    answer = await socket.receive_output(timeout=5)
    return [answer["type"] == "websocket.accept", answer.get("code")]

async def read(socket):
    return json.loads((await socket.receive_output(timeout=5))["text"])

async def story():
    pair, other = await sync_to_async(sign_in)(), await sync_to_async(sign_in)()
    refused = socket_of("made up")
    told["refused"] = await connect(refused)
    socket, kept = socket_of(pair["access_token"]), socket_of(other["access_token"])
    told["accepted"] = [(await connect(one))[0] for one in (socket, kept)]
    told["greeting"] = await read(socket)
    await read(kept)
    bearer = {{"authorization": "Bearer " + other["access_token"]}}
    began = monotonic()
    await sync_to_async(post)("/users/logout-all", {{"keep_current": True}}, **bearer)
    told["closed"] = await socket.receive_output(timeout=1)
    told["in time"] = monotonic() - began < 1
    told["kept"] = await kept.receive_nothing(timeout=0.1)
    again = socket_of(pair["access_token"])
    told["again"] = (await connect(again))[0]
    await kept.send_input({{"type": "websocket.disconnect", "code": 1000}})
    await kept.wait()
    await sync_to_async(connections.close_all)()

asyncio.run(story())
connections.close_all()
print(json.dumps(told))
"""


def files_of(section: str) -> dict[str, str]:
    found = {block["path"]: block["code"] for block in BLOCK.finditer(SECTIONS[section])}
    return {Path(path).stem: code for path, code in found.items()}


def test_a_sign_in_through_allauth_ends_in_a_pair(wheel: Path, tmp_path: Path) -> None:
    files = files_of("Sign in with django-allauth")
    told = tell(wheel, tmp_path, files | {"story": ALLAUTH})
    assert told == {
        "by code": [False, False],
        "me": "phone",
        "refresh": 1,
        "half": [False, ["mfa_authenticate"]],
        "whole": "alice",
        "around": [403, "use_allauth"],
        "devices": ["phone", "phone"],
        "new devices": 0,
        "ids": [],
    }


def test_a_socket_is_refused_accepted_and_closed_within_a_second(
    wheel: Path, tmp_path: Path
) -> None:
    files = files_of("Close sockets with Channels")
    files["settings"] += IN_A_FILE
    files["urls"] = (
        "from django.urls import include, path\n"
        "urlpatterns = [path('users/', include('authx.urls'))]\n"
    )
    told = tell(wheel, tmp_path, files | {"story": CHANNELS})
    assert told == {
        "refused": [False, 4401],
        "accepted": [True, True],
        "greeting": {"user": "alice"},
        "closed": {"type": "websocket.close", "code": 4401},
        "in time": True,
        "kept": True,
        "again": False,
    }
