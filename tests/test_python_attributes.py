"""The page of the Python API says which attributes its values have, and of which types."""

import inspect
import re
from datetime import UTC, datetime
from typing import Any

import pytest
from django.contrib.auth.models import User

from authx import api
from tests.conftest import Clock
from tests.source_code import ROOT

PAGE = (ROOT / "docs" / "python.md").read_text()
# The rows of one table, each with the class that it is about.
ROWS = re.findall(r"^\| an? `(\w+)`.*? \| (.+) \|$", PAGE, re.MULTILINE)
ATTRIBUTE = re.compile(r"`(\w+): (\w+)`( or None)?")
ATTRIBUTES = [(of, *found) for of, row in ROWS for found in ATTRIBUTE.findall(row)]
FUNCTIONS = [name for name in api.__all__ if inspect.isroutine(getattr(api, name))]


@pytest.fixture
def values(clock: Clock, alice: User) -> dict[str, list[Any]]:
    """Return some of each class: fresh and used, with an address and without, live and ended."""
    pairs = [api.open_session(user=alice)]
    raw_token = api.pair_body(pairs[0])["access_token"]
    clock.forward(minutes=5)
    with api.use_context(api.RequestContext(ip="192.0.2.1", user_agent="app")):
        used = api.authenticate_token(raw_token)
        pairs.append(api.open_session(user=alice))
    api.revoke_session(session=used, reason=api.EventKind.ENDED_BY_OPERATOR)
    return {
        "TokenPair": pairs,
        "DeviceSession": [used, *api.DeviceSession.objects.all()],
        "SecurityEvent": [*api.SecurityEvent.objects.all()],
        "AuthxError": [api.InvalidAccessTokenError("expired")],
    }


@pytest.mark.django_db
@pytest.mark.parametrize(("of", "name", "kind", "or_none"), ATTRIBUTES)
def test_an_attribute_is_of_the_type_that_the_page_says(
    values: dict[str, list[Any]], of: str, name: str, kind: str, or_none: str
) -> None:
    found = [getattr(value, name) for value in values[of]]
    given = [value for value in found if value is not None]
    assert {type(value).__name__ for value in given} == {kind}
    assert bool(or_none) or len(given) == len(found)
    assert all(value.tzinfo is UTC for value in given if isinstance(value, datetime))


def test_the_page_has_attributes_of_each_class() -> None:
    assert {of for of, *_ in ATTRIBUTES} == {
        *("TokenPair", "DeviceSession", "SecurityEvent", "AuthxError")
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_every_function_is_annotated(name: str) -> None:
    signature = inspect.signature(getattr(api, name))
    annotations = [parameter.annotation for parameter in signature.parameters.values()]
    assert inspect.Signature.empty not in [*annotations, signature.return_annotation]


def test_type_checkers_are_told_so() -> None:
    assert (ROOT / "authx" / "py.typed").exists()
