"""An app on a phone, as tests see it: holds a pair, sends requests, does what it is told."""

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from django.test import Client

from authx.models import DeviceSession

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

PASSWORD = "correct horse battery staple"

# One for all phones: each would load the middleware anew, and none keeps cookies.
CLIENT = Client(raise_request_exception=False)


@dataclass
class Phone:
    """One installation of the app; `pair` is what it stored last."""

    username: str = "alice"
    device: dict[str, Any] = field(default_factory=lambda: {"name": "phone"})
    pair: dict[str, Any] = field(default_factory=dict)
    # What the last sign-in brought; it stays when the pair goes.
    credential: str = field(default="", repr=False)
    client: Client = field(default=CLIENT, repr=False)

    @property
    def access_token(self) -> str:
        token: str = self.pair["access_token"]
        return token

    @property
    def refresh_token(self) -> str:
        token: str = self.pair["refresh_token"]
        return token

    def send(self, method: str, path: str, body: Any = None, **options: Any) -> "ErrorResponse":
        """Send JSON with the stored access token."""
        headers = {"authorization": f"Bearer {self.access_token}"} if self.pair else {}
        data = "" if body is None else json.dumps(body)
        return self.client.generic(
            method,
            f"/users/{path}",
            data,
            content_type="application/json",
            headers=headers | options.pop("headers", {}),
            **options,
        )

    def try_sign_in(self, password: str = PASSWORD, **options: Any) -> "ErrorResponse":
        shown = {"credential": self.credential} if self.credential else {}
        body = {"username": self.username, "password": password, "device": self.device | shown}
        return self.client.post("/users/login", body, content_type="application/json", **options)

    def sign_in(self, password: str = PASSWORD) -> "Phone":
        """Sign in and store the pair."""
        self.pair = _ok(self.try_sign_in(password))
        self.credential = self.pair.pop("device_credential")
        return self

    def try_refresh(
        self, refresh_token: str | None = None, *, key: str = "", **options: Any
    ) -> "ErrorResponse":
        """Present a refresh token, the stored one unless told, and store nothing."""
        token = self.refresh_token if refresh_token is None else refresh_token
        body = {"grant_type": "refresh_token", "refresh_token": token}
        headers = ({"idempotency-key": key} if key else {}) | options.pop("headers", {})
        options |= {"content_type": "application/json", "headers": headers}
        return self.client.post("/users/token", body, **options)

    def refresh(self, *, key: str = "") -> "Phone":
        """Refresh and store the new pair."""
        self.pair = _ok(self.try_refresh(key=key))
        return self

    def call(self) -> "ErrorResponse":
        """Use the access token."""
        return self.send("GET", "me")

    @property
    def is_signed_in(self) -> Any:
        # A bool; but a type checker told so believes the first answer for ever.
        return self.call().status_code == 200

    @property
    def session_id(self) -> str:
        session_id: str = self.pair["device"]["id"]
        return session_id


def grace_period_over() -> None:
    """Let the superseded generations of all sessions be as old as their grace period."""
    DeviceSession.objects.update(recent=b"")


def _ok(response: "ErrorResponse") -> dict[str, Any]:
    assert response.status_code == 200, response.content
    pair: dict[str, Any] = json.loads(response.content)
    return pair


def error_of(response: "ErrorResponse") -> tuple[int, str]:
    """Return status and code of a refusal, after checking its shape."""
    body = json.loads(response.content)
    assert set(body) <= {"error", "error_description", "fields"}
    assert response.headers["Content-Type"] == "application/json"
    return response.status_code, body["error"]
