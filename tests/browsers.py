"""A browser in which an operator has signed in to the admin."""

from http import HTTPStatus
from typing import Any

from django.test import Client

from authx.models import DeviceSession
from tests.phone import PASSWORD

FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"


def signed_in_browser(password: str = PASSWORD) -> Client:
    """Return a browser whose user, alice, has filled in the admin's form."""
    client = Client(headers={"user-agent": FIREFOX}, raise_request_exception=False)
    client.post("/admin/login/?next=/admin/", {"username": "alice", "password": password})
    return client


def is_in(client: Client) -> Any:
    # A bool; but a type checker told so believes the first answer for ever.
    return client.get("/admin/").status_code == HTTPStatus.OK


def its_session() -> DeviceSession:
    return DeviceSession.objects.get(platform="browser", revoked_at=None)
