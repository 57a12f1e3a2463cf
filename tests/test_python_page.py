"""The page of the Python API names all that is stable, with signatures, and its examples run."""

import asyncio
import inspect
import re
import sys
from collections.abc import Iterator
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any
from uuid import UUID

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import RequestFactory
from rest_framework.exceptions import PermissionDenied

from authx import api
from authx.urls import urlpatterns
from tests.phone import Phone
from tests.source_code import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()
ROWS = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
NAMED = [name for row in ROWS for name in re.findall(r"`(\w+)[^`]*`", row)]
SIGNATURE = re.compile(r"`(\w+)(\(.*?\))`(?=,| \|)")
STABLE = {
    module: re.findall(r"`(\w+)`", names)
    for module, names in re.findall(r"^- `(authx\.[\w.]+)`: ((?:.|\n  )+)$", PAGE, re.MULTILINE)
}
# How the guide imports `sweep`.
SPELLED = ("as", "sweep_expired")
BLOCK = re.compile(r"^```python\n# accounts/(\w+)\.py\n(.+?)^```", re.MULTILINE | re.DOTALL)


def signature_of(name: str) -> str:
    """Return the parameters without types, as the page has them."""
    plain = inspect.signature(getattr(api, name))
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in plain.parameters.values()
    ]
    return str(plain.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


def user_of_code(username: str, code: str) -> User | None:
    return User.objects.filter(username=username).first() if code == "1" else None


@pytest.fixture
def accounts(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    """Return the modules of the examples."""
    modules = {}
    one_time = ModuleType("accounts.one_time")
    vars(one_time)["user_of_code"] = user_of_code
    monkeypatch.setitem(sys.modules, "accounts", ModuleType("accounts"))
    monkeypatch.setitem(sys.modules, "accounts.one_time", one_time)
    for name, code in BLOCK.findall(PAGE):
        module = ModuleType(f"accounts.{name}")
        exec(code, vars(module))  # our own page
        modules[name] = module
    yield modules
    api.sessions_revoked.disconnect(vars(modules["receivers"])["forget"])


def test_the_page_names_what_the_module_offers() -> None:
    assert sorted(NAMED) == sorted(api.__all__)


@pytest.mark.parametrize(
    ("name", "signature"), SIGNATURE.findall("\n".join(f"{row} |" for row in ROWS))
)
def test_a_signature_is_that_of_the_code(name: str, signature: str) -> None:
    assert signature == signature_of(name)


@pytest.mark.django_db
def test_the_examples_run(alice: User, accounts: dict[str, Any], committed: Any) -> None:
    accounts["codes"].user_of_code = lambda _: alice
    body = {"code": "1", "device_name": "phone"}
    request = RequestFactory().post("/", body, content_type="application/json")
    pair = accounts["codes"].CodeView.as_view()(request).data
    assert pair["device"]["name"] == "phone"
    with pytest.raises(PermissionDenied):
        accounts["policy"].may_sign_in(alice, None)
    device = {"data": {"push_token": "fcm:abc"}}
    body = {"username": "alice", "code": "1"}
    request = RequestFactory().post(
        "/", {**body, "device": device}, content_type="application/json"
    )
    with_push = accounts["code_views"].CodeLoginView.as_view()(request).data
    receivers = accounts["receivers"]
    receivers.push_tokens.update({"fcm:abc", "fcm:another"})
    receivers.sockets.update({UUID(pair["device"]["id"]): "a socket"})
    with committed():
        assert sorted(accounts["bans"].ban(alice)) == ["", "phone"]
    assert (receivers.sockets, receivers.push_tokens) == ({}, {"fcm:another"})
    assert not Phone(pair=pair).is_signed_in
    assert not Phone(pair=with_push).is_signed_in


@pytest.mark.django_db(transaction=True)
def test_the_example_of_a_socket_runs(accounts: dict[str, Any], phone: Phone) -> None:
    async def story() -> list[Any]:
        find = accounts["sockets"].user_of_socket
        found = [await find(phone.access_token), await find("made up")]
        await sync_to_async(connections.close_all)()
        return found

    user, nobody = asyncio.run(story())
    assert (user.username, nobody) == ("alice", None)


def test_the_guides_import_what_is_stable() -> None:
    files = [ROOT / "docs" / "adopt.md", *(ROOT / "docs" / "migrating").rglob("*.py")]
    guides = PAGE + "".join(path.read_text() for path in files)
    imports = re.findall(r"^from (authx\S*) import (.+)$", guides, re.MULTILINE)
    named = {(module, name) for module, names in imports for name in re.findall(r"\w+", names)}
    stable = {(module, name) for module in STABLE for name in STABLE[module]}
    assert named - stable - {("authx.api", name) for name in (*api.__all__, *SPELLED)} == set()


@pytest.mark.parametrize("module", STABLE)
def test_what_is_stable_beside_it_is_there(module: str) -> None:
    assert [name for name in STABLE[module] if not hasattr(import_module(module), name)] == []


def test_every_view_of_an_endpoint_is_stable() -> None:
    views = {view.view_class.__name__ for view in (pattern.callback for pattern in urlpatterns)}
    assert views == {name for names in STABLE.values() for name in names if name in views}
    assert len(views) == 11


@pytest.mark.django_db
def test_the_example_of_a_code_counts_attempts(alice: User, accounts: dict[str, Any]) -> None:
    view = accounts["code_views"].CodeLoginView.as_view()
    body = {"username": "alice", "code": "2", "device": {"name": "phone"}}
    post = partial(RequestFactory().post, "/", content_type="application/json")
    answers = [view(post(body)).status_code for _ in range(6)]
    assert answers == [400] * 5 + [429]


@pytest.mark.django_db
def test_the_example_of_lifetimes_returns_some(alice: User, accounts: dict[str, Any]) -> None:
    lifetimes = accounts["lifetimes"].lifetimes
    assert lifetimes(alice, api.Device(platform="tv")).refresh_token_ttl.days == 90
    assert lifetimes(alice, api.Device()) == api.Lifetimes()
    alice.is_staff = True
    assert lifetimes(alice, api.Device()).session_limit == 2
