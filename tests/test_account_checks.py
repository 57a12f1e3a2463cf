"""Where the links in mails lead is checked at the start."""

from typing import Any

import pytest
from django.core.checks.registry import registry

from authx.contrib.account.apps import AccountConfig
from authx.contrib.account.checks import check_account
from backend.account_url import account_url


def ids() -> list[str | None]:
    return [message.id for message in check_account()]


@pytest.mark.parametrize(
    "url",
    [
        "https://example.com/account/",
        "https://example.com/",
        "http://localhost:8000/account/",
        "http://127.0.0.1/a/b/",
    ],
)
def test_a_url_of_pages_is_accepted(settings: Any, url: str) -> None:
    settings.AUTHX = settings.AUTHX | {"ACCOUNT_URL": url}
    assert ids() == []


@pytest.mark.parametrize(
    "url",
    [
        None,
        "",
        "/account/",
        "https://example.com/account",
        "http://example.com/account/",
        "https://user@example.com/",
        "https://example.com/?a=/",
    ],
)
def test_another_url_is_refused(settings: Any, url: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"ACCOUNT_URL": url}
    assert ids() == ["authx_account.E001"]


@pytest.mark.parametrize("link", ["", "shop:recover/{token}", "https://example.com/?t={token}"])
def test_a_link_with_the_token_is_accepted(settings: Any, link: str) -> None:
    settings.AUTHX = settings.AUTHX | {"RECOVERY_LINK": link}
    assert ids() == []


@pytest.mark.parametrize("link", [None, "https://example.com/", "{token", "{token}{other}", "{}"])
def test_a_link_without_it_is_refused(settings: Any, link: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"RECOVERY_LINK": link}
    assert ids() == ["authx_account.E002"]


def test_the_app_registers_its_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "registered_checks", set())
    AccountConfig.create("authx.contrib.account").ready()
    assert registry.registered_checks == {check_account}


@pytest.mark.parametrize(
    ("hosts", "https", "url"),
    [
        (["api.example.com", "x"], True, "https://api.example.com/account/"),
        ([".example.com"], True, "https://example.com/account/"),
        (["*"], True, "https://localhost/account/"),
        ([], False, "http://localhost:8000/account/"),
    ],
)
def test_without_a_url_the_first_host_has_the_pages(
    monkeypatch: pytest.MonkeyPatch, hosts: list[str], url: str, *, https: bool
) -> None:
    monkeypatch.delenv("PORT", raising=False)
    assert account_url(hosts, https=https) == url
