"""Two places that refresh the same session: the app at home, and somebody elsewhere."""

from typing import TYPE_CHECKING, Any

from tests.phone import Phone

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

HOME = {"REMOTE_ADDR": "192.0.2.1", "HTTP_USER_AGENT": "App/1 (phone)"}
AWAY = {"REMOTE_ADDR": "198.51.100.7", "HTTP_USER_AGENT": "curl/8"}


def refresh_from(refresh_token: str, key: str = "", **meta: str) -> "Response":
    options: dict[str, Any] = meta
    return Phone().try_refresh(refresh_token, key=key, **options)
