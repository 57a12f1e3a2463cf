"""A device as the demo plays it: an app that keeps its pair and shows what it is answered."""

import json
from dataclasses import dataclass
from http import HTTPStatus
from urllib.parse import urlencode

from backend.local.client import ErrorResponse, ask, connect

JSON = {"Content-Type": "application/json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@dataclass
class Device:
    """One installation of the app."""

    url: str
    name: str
    access_token: str = ""
    refresh_token: str = ""
    expires_in: int = 0

    def sign_in(self, username: str, password: str) -> ErrorResponse:
        device = {"installation_id": f"demo-{self.name}", "name": f"Demo {self.name}"}
        content = {"username": username, "password": password, "device": device}
        return self.keep(ask(self.url, "POST", "/users/login", json.dumps(content), **JSON))

    def call(self, path: str = "/users/me", *, method: str = "GET") -> ErrorResponse:
        return ask(self.url, method, path, Authorization=f"Bearer {self.access_token}")

    def exchange(self, refresh_token: str) -> ErrorResponse:
        """Ask for the next pair, and do not keep it."""
        return ask(self.url, "POST", "/users/token", refresh_form(refresh_token), **FORM)

    def refresh(self) -> ErrorResponse:
        return self.keep(self.exchange(self.refresh_token))

    def lose_refresh(self) -> None:
        """Refresh, and hang up as soon as the answer begins to come in."""
        connection = connect(self.url)
        try:
            connection.request("POST", "/users/token", refresh_form(self.refresh_token), FORM)
            connection.sock.recv(1)
        finally:
            connection.close()

    def keep(self, answer: ErrorResponse) -> ErrorResponse:
        if answer.status == HTTPStatus.OK:
            self.access_token, self.refresh_token = pair_of(answer)
            self.expires_in = answer.body["expires_in"]
        return answer


def refresh_form(refresh_token: str) -> str:
    return urlencode({"grant_type": "refresh_token", "refresh_token": refresh_token})


def pair_of(answer: ErrorResponse) -> tuple[str, str]:
    return answer.body["access_token"], answer.body["refresh_token"]
