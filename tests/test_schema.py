"""The API description in the repository is the one that the code gives, and says all of it."""

import re
import sys
from http import HTTPStatus
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import call_command
from rest_framework.serializers import Serializer

from authx import urls, well_known
from authx.contrib.account import api_urls as account_urls
from authx.contrib.introspection import urls as introspection_urls
from authx.contrib.openapi.operations import OPERATIONS as VIEWS
from authx.rest.exceptions import ERROR_CODES, ERROR_RESPONSES
from authx.rest.serializers import StrictCharField
from tests.phone import CLIENT

ROOT = Path(__file__).resolve().parent.parent
SCHEMA: dict[str, Any] = yaml.safe_load((ROOT / "schema.yaml").read_text())
OPERATIONS = [
    pytest.param(operation, id=operation["operationId"])
    for item in SCHEMA["paths"].values()
    for operation in item.values()
]
SENTENCES = {answer.description for answer in ERROR_RESPONSES.values()}


def refusals_of(operation: dict[str, Any]) -> dict[str, Any]:
    return {code: said for code, said in operation["responses"].items() if code >= "400"}


def examples_of(refusal: dict[str, Any]) -> list[dict[str, Any]]:
    examples = refusal["content"]["application/json"]["examples"]
    return [example["value"] for example in examples.values()]


def test_the_committed_description_is_what_the_code_says() -> None:
    said = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=said)
    assert said.getvalue().strip() == (ROOT / "schema.yaml").read_text().strip()


def trimmed_fields() -> dict[str, dict[str, Any]]:
    """Return what is said of each required string that loses the blanks at its ends."""
    ours = [kind for kind in Serializer.__subclasses__() if kind.__module__.startswith("authx.")]
    schemas = SCHEMA["components"]["schemas"]
    return {
        f"{kind.__name__}.{name}": schemas[
            f"Authx{kind.__name__.removesuffix('Serializer')}Request"
        ]["properties"][name]
        for kind in ours
        for name, field in kind().fields.items()
        if isinstance(field, StrictCharField) and field.trim_whitespace and not field.allow_blank
    }


def test_a_string_of_blanks_is_valid_only_where_it_is_accepted() -> None:
    blanks = "".join(filter(str.isspace, map(chr, range(sys.maxunicode + 1))))
    found = trimmed_fields()
    assert set(found) == {
        *("LoginSerializer.username", "RecoverSerializer.username"),
        *("DeviceChangeSerializer.name", "TokenSerializer.idempotency_key"),
    }
    for name, said in found.items():
        assert not re.search(said["pattern"], blanks), name
        assert re.search(said["pattern"], "a" * 16), name


def test_it_is_openapi_3_1_and_served_to_anyone_whatever_they_carry() -> None:
    answer = CLIENT.get("/api/schema", headers={"authorization": "Bearer stale"})
    assert answer.status_code == HTTPStatus.OK
    assert yaml.safe_load(answer.content) == SCHEMA
    assert SCHEMA["openapi"].startswith("3.1")


@pytest.mark.parametrize("query", ["version=a%0d%0ab", "version=2", "lang=%ff", "lang=xx"])
def test_nothing_that_is_asked_for_is_in_it(query: str) -> None:
    plain, asked = CLIENT.get("/api/schema"), CLIENT.get(f"/api/schema?{query}")
    assert asked.content == plain.content
    assert asked["Content-Disposition"] == plain["Content-Disposition"]


def test_serving_it_changes_no_view() -> None:
    views = [getattr(view, name) for view, methods in VIEWS.items() for name in methods]
    assert CLIENT.get("/api/schema").status_code == HTTPStatus.OK
    assert [view for view in views if vars(view)] == []


def test_every_endpoint_is_in_it() -> None:
    described = {path.removeprefix("/users/").partition("/{")[0] for path in SCHEMA["paths"]}
    metadata = f"/.well-known/{well_known.PATH}"
    patterns = [
        *urls.urlpatterns,
        *introspection_urls.urlpatterns,
        *account_urls.urlpatterns,
    ]
    named = {str(pattern.name) for pattern in patterns} - {"device", "recover-confirm"}
    named.add("recover/confirm")
    assert described == named | {metadata}


def test_every_error_code_has_an_example() -> None:
    examples = SCHEMA["components"]["examples"]
    assert sorted(examples) == ERROR_CODES
    assert all(example["value"]["error"] == code for code, example in examples.items())


@pytest.mark.parametrize("operation", OPERATIONS)
def test_every_refusal_of_an_operation_is_shown_as_it_is_said(operation: dict[str, Any]) -> None:
    refusals = refusals_of(operation)
    assert {"500", "503"} <= set(refusals)
    shown = [example for refusal in refusals.values() for example in examples_of(refusal)]
    assert {example["error_description"] for example in shown} <= SENTENCES | {
        "An internal error occurred."
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_says_which_headers_come_with_a_refusal(operation: dict[str, Any]) -> None:
    named = {
        "401": "WWW-Authenticate",
        "415": "Accept",
        "429": "Retry-After",
        "503": "Retry-After",
    }
    for code, refusal in refusals_of(operation).items():
        expected = {named[code]} if code in named else set()
        assert set(refusal.get("headers", {})) == expected


@pytest.mark.parametrize("path", ["login", "token", "revoke", "introspect"])
def test_both_encodings_are_described_where_both_are_read(path: str) -> None:
    body = SCHEMA["paths"][f"/users/{path}"]["post"]["requestBody"]["content"]
    assert set(body) == {"application/json", "application/x-www-form-urlencoded"}


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_asks_for_its_scheme_or_says_that_it_needs_none(
    operation: dict[str, Any],
) -> None:
    is_service = operation["operationId"] == "authx_introspect"
    scheme = "authx_service" if is_service else "authx_bearer"
    needs_one = "401" in operation["responses"]
    assert operation.get("security", []) == ([{scheme: []}] if needs_one else [])


def test_the_schemes_are_those_of_the_challenges() -> None:
    schemes = SCHEMA["components"]["securitySchemes"]
    assert {name: one["scheme"] for name, one in schemes.items()} == {
        "authx_bearer": "bearer",
        "authx_service": "basic",
    }


@pytest.mark.parametrize("operation", OPERATIONS)
def test_an_operation_behind_the_bearer_scheme_describes_the_renewal_header(
    operation: dict[str, Any],
) -> None:
    successes = [said for code, said in operation["responses"].items() if code < "300"]
    told = (
        {"Authentication-Info"} if {"authx_bearer": []} in operation.get("security", []) else set()
    )
    assert [set(said.get("headers", {})) for said in successes] == [told]
