"""Somebody in front of the pages of their account, and what arrives in their mailbox."""

import re
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qs, urlsplit

from django.contrib.auth.models import User
from django.core import mail
from django.test import Client

from tasks.alerts import send_notifications
from tests.phone import PASSWORD, Phone

BASE = "/account/"
LINK = re.compile(r"https?://\S+")
NEW_PASSWORD = "another horse, another battery"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 15_0) Version/18.0 Safari/605.1.15"


def with_address(user: User) -> User:
    user.email = f"{user.get_username()}@example.com"
    user.save()
    return user


def browser(**options: Any) -> Client:
    headers = {"user-agent": SAFARI} | options.pop("headers", {})
    return Client(headers=headers, **options)


def sign_in(client: Client, username: str = "alice", password: str = PASSWORD) -> Any:
    return client.post(f"{BASE}sign-in/", {"username": username, "password": password})


def signed_in(username: str = "alice", password: str = PASSWORD) -> Client:
    client = browser()
    assert sign_in(client, username, password).status_code == 302
    return client


def mails() -> list[Any]:
    """Send what is due, and return all mails of this test."""
    send_notifications()
    return mail.outbox


def link_in(message: Any) -> str:
    """Return path and query of the only link in a mail."""
    (link,) = LINK.findall(str(message.body))
    assert link in message.alternatives[0][0].replace("&amp;", "&")
    parts = urlsplit(link)
    return f"{parts.path}?{parts.query}"


def token_in(link: str) -> str:
    return parse_qs(urlsplit(link).query)["token"][0]


def text_of(response: Any) -> str:
    """Return what a page says, without its markup, style and script."""
    html = re.sub(r"<(style|script)[^>]*>.*?</\1>", " ", response.content.decode(), flags=re.DOTALL)
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def ask(name: str = "alice", **options: Any) -> Any:
    """Ask for a link, as an app does."""
    body = {"username": name}
    return Phone().client.post("/users/recover", body, content_type="application/json", **options)


def confirm(raw_token: str, password: str = NEW_PASSWORD, **device: str) -> Any:
    body = {"token": raw_token, "new_password": password, "device": device}
    return Phone().send("POST", "recover/confirm", body)


def mailed_token(name: str = "alice") -> str:
    assert ask(name).status_code == HTTPStatus.ACCEPTED
    return token_in(link_in(mails()[-1]))
