"""The life of a device session, one HTTP call after the other.

Run it with `make demo` on a stack of its own, or on a running one: make demo URL=... PASSWORD=...
"""

import os
import secrets
import time
from concurrent.futures import ThreadPoolExecutor
from http import HTTPStatus

import httpx

URL = os.environ["URL"]
PASSWORD = os.environ["PASSWORD"]
# REFRESH_TOKEN_GRACE_PERIOD of the server, in seconds.
GRACE_PERIOD = float(os.environ.get("GRACE_PERIOD", "10"))

client = httpx.Client(base_url=URL, timeout=30)


def sign_in(name: str) -> dict[str, str]:
    device = {"installation_id": f"story-{name}", "name": f"Story {name}"}
    credentials = {"username": "demo", "password": PASSWORD, "device": device}
    response = client.post("/users/login", json=credentials)
    response.raise_for_status()
    pair: dict[str, str] = response.json()
    return pair


def call(pair: dict[str, str], path: str = "/users/me") -> httpx.Response:
    return client.get(path, headers={"Authorization": f"Bearer {pair['access_token']}"})


def refresh(refresh_token: str, idempotency_key: str | None = None) -> httpx.Response:
    form = {"grant_type": "refresh_token", "refresh_token": refresh_token}
    # An app stores the key before the first try, and sends it with every try of this refresh.
    headers = {"Idempotency-Key": idempotency_key or secrets.token_urlsafe()}
    return client.post("/users/token", data=form, headers=headers)


print("1. Sign in on a phone and on a tablet. The list of devices shows both.")
phone, tablet = sign_in("phone"), sign_in("tablet")
first_refresh_token = phone["refresh_token"]
names = {device["name"] for device in call(phone, "/users/devices").json()}
assert {"Story phone", "Story tablet"} <= names

print("2. Call the API with the access token.")
assert call(phone).json()["username"] == "demo"

print("3. Refresh: the refresh token is exchanged for a pair with two new tokens.")
response = refresh(phone["refresh_token"])
response.raise_for_status()
new_pair = response.json()
assert new_pair["access_token"] != phone["access_token"]
assert new_pair["refresh_token"] != phone["refresh_token"]
phone = new_pair

print("4. Lose the response to a refresh. Two retries get the same pair.")
key = secrets.token_urlsafe()
form = {"grant_type": "refresh_token", "refresh_token": phone["refresh_token"]}
with client.stream("POST", "/users/token", data=form, headers={"Idempotency-Key": key}):
    pass  # The server has rotated the token, and nobody reads the new one.
retries = [refresh(phone["refresh_token"], key).json() for _ in range(2)]
assert retries[0]["refresh_token"] == retries[1]["refresh_token"]
phone = retries[0]
assert call(phone).status_code == HTTPStatus.OK

print("5. Refresh 20 times in parallel. All get the same pair.")
key = secrets.token_urlsafe()
with ThreadPoolExecutor(20) as pool:
    responses = list(pool.map(refresh, [phone["refresh_token"]] * 20, [key] * 20))
pairs = [response.json() for response in responses]
assert len({(pair["access_token"], pair["refresh_token"]) for pair in pairs}) == 1
phone = pairs[0]
assert call(phone).status_code == HTTPStatus.OK

print(f"6. Wait for the end of the grace period: {GRACE_PERIOD:g} seconds.")
time.sleep(GRACE_PERIOD + 0.5)

print("7. A thief uses a copy of the phone's first refresh token. The phone's session ends.")
response = refresh(first_refresh_token)
assert response.status_code == HTTPStatus.BAD_REQUEST
assert response.json()["error"] == "invalid_grant"
assert call(phone).status_code == HTTPStatus.UNAUTHORIZED
assert refresh(phone["refresh_token"]).json()["error"] == "invalid_grant"
assert call(tablet).status_code == HTTPStatus.OK

print("8. Sign in on the phone again, and sign out everywhere from the tablet.")
phone = sign_in("phone")
bearer = {"Authorization": f"Bearer {tablet['access_token']}"}
client.post("/users/logout-all", headers=bearer).raise_for_status()
assert call(phone).status_code == HTTPStatus.UNAUTHORIZED
assert call(tablet).status_code == HTTPStatus.UNAUTHORIZED
assert refresh(tablet["refresh_token"]).json()["error"] == "invalid_grant"

print("Everything went as described.")
