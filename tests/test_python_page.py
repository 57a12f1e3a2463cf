"""The page of the Python API names all that is stable, with signatures, and its examples run."""

import asyncio
import inspect
import re
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.db import connections
from django.test import RequestFactory
from rest_framework.exceptions import PermissionDenied

from authx import api
from tests.phone import Phone
from tests.source_code import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()
ROWS = re.findall(r"^\| (`.+?`) \|", PAGE, re.MULTILINE)
NAMED = [name for row in ROWS for name in re.findall(r"`(\w+)[^`]*`", row)]
SIGNATURE = re.compile(r"`(\w+)(\(.*?\))`(?=,| \|)")
BLOCK = re.compile(r"^```python\n# accounts/(\w+)\.py\n(.+?)^```", re.MULTILINE | re.DOTALL)


def signature_of(name: str) -> str:
    """Return the parameters without types, as the page has them."""
    plain = inspect.signature(getattr(api, name))
    parameters = [
        one.replace(annotation=inspect.Parameter.empty) for one in plain.parameters.values()
    ]
    return str(plain.replace(parameters=parameters, return_annotation=inspect.Signature.empty))


@pytest.fixture
def accounts() -> Iterator[dict[str, Any]]:
    """Return the modules of the examples."""
    modules = {}
    for name, code in BLOCK.findall(PAGE):
        module = ModuleType(f"accounts.{name}")
        exec(code, vars(module))  # our own page
        modules[name] = module
    yield modules
    api.sessions_revoked.disconnect(vars(modules["receivers"])["close_sockets"])


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
    assert accounts["lifetimes"].lifetimes(alice, api.Device(platform="tv")) == {"session_limit": 3}
    with committed():
        assert accounts["bans"].ban(alice) == ["phone"]
    assert [str(one) for one in accounts["receivers"].ended] == [pair["device"]["id"]]
    assert not Phone(pair=pair).is_signed_in


@pytest.mark.django_db(transaction=True)
def test_the_example_of_a_socket_runs(accounts: dict[str, Any], phone: Phone) -> None:
    async def story() -> list[Any]:
        find = accounts["sockets"].user_of_socket
        found = [await find(phone.access_token), await find("made up")]
        await sync_to_async(connections.close_all)()
        return found

    user, nobody = asyncio.run(story())
    assert (user.username, nobody) == ("alice", None)
