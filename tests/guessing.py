"""Somebody who guesses: passwords and tokens, from any address, as any device."""

from typing import TYPE_CHECKING, Any

from tests.phone import PASSWORD, Phone

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as ErrorResponse

WRONG = "not her password"
ELSEWHERE = "203.0.113.9"


def guess(username: str = "alice", password: str = WRONG, **options: Any) -> "ErrorResponse":
    """Try a password at the sign-in endpoint; `credential` is that of a device."""
    device = {"credential": options.pop("credential", "")}
    body = {"username": username, "password": password, "device": device}
    return Phone().client.post("/users/login", body, content_type="application/json", **options)


def statuses(count: int, *arguments: Any, **options: Any) -> list[int]:
    """Guess so often, and return what was answered."""
    return [guess(*arguments, **options).status_code for _ in range(count)]


def sign_in_from(address: str, **options: Any) -> "ErrorResponse":
    return guess(password=PASSWORD, REMOTE_ADDR=address, **options)


def forge(address: str = ELSEWHERE) -> "ErrorResponse":
    """Present a bearer token that nobody minted."""
    return Phone(pair={"access_token": "axa_forged"}).send("GET", "me", REMOTE_ADDR=address)


def altered(raw_token: str, place: int = 1) -> str:
    """Return a token with another character at a place, counted from its end."""
    other = "B" if raw_token[-place] == "A" else "A"
    return raw_token[: len(raw_token) - place] + other + raw_token[len(raw_token) - place + 1 :]
