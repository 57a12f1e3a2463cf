"""The exception handler answers whatever a project raises, in its words and in the one shape."""

import json
from collections.abc import Iterator
from enum import Enum
from http import HTTPStatus
from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.utils.translation import gettext_lazy
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import exceptions, serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.renderers import JSONRenderer
from rest_framework.views import APIView

from authx.errors import RateLimitError
from authx.rest.exceptions import exception_handler
from authx.rest.views.base import AuthxView


class Colour(Enum):
    RED = "red"


class Opaque:
    """Has no words of its own."""


class Reason(exceptions.APIException):
    """Keeps a detail as it is given; DRF would turn each part into a text."""

    def __init__(self, detail: Any, **own: Any) -> None:
        self.detail = detail
        vars(self).update(own)


class InvalidReason(Reason, exceptions.ValidationError):
    """The same, of a body."""


class Silent(exceptions.PermissionDenied):
    def __init__(self) -> None:
        """Leave out what DRF's own does."""


def answer_to(error: Exception, **context: Any) -> tuple[int, dict[str, Any]]:
    response = exception_handler(error, context)
    body: dict[str, Any] = json.loads(JSONRenderer().render(response.data))
    assert body == response.data
    assert set(body) <= {"error", "error_description", "fields"}
    return response.status_code, body


def texts_in(body: Any) -> Iterator[str]:
    if isinstance(body, dict):
        for name, inner in body.items():
            yield name
            yield from texts_in(inner)
    elif isinstance(body, list):
        for inner in body:
            yield from texts_in(inner)
    else:
        assert isinstance(body, str)
        yield body


WORDS = st.text() | st.builds(gettext_lazy, st.text(min_size=1)) | st.binary()
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.decimals()
    | st.uuids()
    | st.datetimes()
    | st.timedeltas()
    | WORDS
    | st.builds(ErrorDetail, st.text(), st.none() | st.text() | st.integers())
    | st.just(Colour.RED)
    | st.builds(Opaque)
    | st.builds(ValueError, st.text())
)
KEYS = st.text() | st.integers() | st.none() | st.tuples(st.text(), st.integers())
DETAILS = st.recursive(
    LEAVES,
    lambda inner: st.lists(inner) | st.tuples(inner, inner) | st.dictionaries(KEYS, inner),
    max_leaves=12,
)
STATUSES = st.integers() | st.sampled_from([200, 299, 400, 403, 440, 503, 599]) | st.none() | WORDS
# Of representations in Python; no random text has these.
MARKS = (" object at 0x", "ErrorDetail(", "Colour.", "Decimal(", "UUID(", "datetime.", "\\x")
WAITS = st.none() | st.integers() | st.floats() | st.text() | st.timedeltas()


@given(detail=DETAILS, status=STATUSES, code=LEAVES, wait=WAITS)
@pytest.mark.parametrize("kind", [Reason, InvalidReason])
def test_no_detail_status_code_or_wait_makes_it_fail_or_show_a_python_value(
    kind: type[Reason], detail: Any, status: Any, code: Any, wait: Any
) -> None:
    error = kind(detail, status_code=status, default_code=code, wait=wait, auth_header=status)
    answered, body = answer_to(error)
    assert 200 <= answered <= 599
    assert body["error"]
    assert body["error_description"]
    shown = "\n".join(texts_in(body))
    assert not [mark for mark in MARKS if mark in shown]


class Conflict(exceptions.ValidationError):
    status_code = HTTPStatus.CONFLICT
    default_code = "taken"


class LoginTimeout(exceptions.APIException):
    status_code = 440
    default_code = "login_timeout"
    default_detail = gettext_lazy("Sign in again, please.")


class Suspended(exceptions.PermissionDenied):
    default_code = "suspended"
    default_detail = "This account is suspended."


def said(status: int, code: str, words: str, **fields: list[str]) -> tuple[int, dict[str, Any]]:
    body: dict[str, Any] = {"error": code, "error_description": words}
    return status, body | ({"fields": fields} if fields else {})


MALFORMED = "The request is malformed."
FORBIDDEN = "This is not allowed."
UNACCEPTABLE = "Could not satisfy the request Accept header."
SLOW_DOWN = "Too many requests. Try again later."
UNSUPPORTED = "The method is not supported."
IS_OPEN = True
# A code is a text to DRF, which does not check it.
NUMBER: Any = 7


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (exceptions.PermissionDenied(), said(403, "forbidden", FORBIDDEN)),
        (exceptions.PermissionDenied("Ask Ann."), said(403, "forbidden", "Ask Ann.")),
        (exceptions.PermissionDenied("Pay.", "unpaid"), said(403, "unpaid", "Pay.")),
        (exceptions.PermissionDenied(code="unpaid"), said(403, "unpaid", FORBIDDEN)),
        (
            exceptions.PermissionDenied({"detail": "Pay.", "plan": "gold", "until": None}),
            said(403, "forbidden", "Pay.", plan=["gold"], until=["None"]),
        ),
        (Suspended(), said(403, "suspended", "This account is suspended.")),
        (Silent(), said(403, "forbidden", FORBIDDEN)),
        (PermissionDenied("Ask Ann."), said(403, "forbidden", "Ask Ann.")),
        (PermissionDenied(), said(403, "forbidden", FORBIDDEN)),
        (Http404("It has moved."), said(404, "not_found", "It has moved.")),
        (Http404({"tried": []}, 1, 2), said(404, "not_found", "The resource does not exist.")),
        (exceptions.NotFound("No order 7.", "no_order"), said(404, "no_order", "No order 7.")),
        (exceptions.ParseError("Line 3."), said(400, "invalid_request", "Line 3.")),
        (exceptions.NotAcceptable(), said(406, "not_acceptable", UNACCEPTABLE)),
        (exceptions.APIException(), said(500, "error", "The request could not be processed.")),
        (Reason(ErrorDetail("42", NUMBER)), said(500, "7", "42")),
        (Reason(b"bytes"), said(500, "error", "bytes")),
        (exceptions.APIException(["One.", "Two."]), said(500, "error", "One. Two.")),
        (LoginTimeout(), said(440, "login_timeout", "Sign in again, please.")),
        (Reason("Fine.", status_code=299), said(299, "error", "Fine.")),
        (Reason(b"\xff"), said(500, "error", "\ufffd")),
        (Reason(Colour.RED, status_code="x"), said(500, "error", "red")),
        (Reason(IS_OPEN), said(500, "error", "true")),
        (Reason(Opaque()), said(500, "error", "Invalid value.")),
        (Reason("\ud800"), said(500, "error", "?")),
        (
            Reason(["Sold out.", {"left": [0, 1]}]),
            said(500, "error", "Sold out.", **{"0.left": ["0", "1"]}),
        ),
        (
            Reason({"detail": {"size": "S"}}),
            said(500, "error", "The request could not be processed.", **{"detail.size": ["S"]}),
        ),
        (
            exceptions.ValidationError("No."),
            said(400, "invalid_request", MALFORMED, non_field_errors=["No."]),
        ),
        (
            exceptions.ValidationError({"a": "No."}),
            said(400, "invalid_request", MALFORMED, a=["No."]),
        ),
        (
            exceptions.ValidationError([{}, {"a": ["No."]}, {"b": {"c": ["x", "y"]}}]),
            said(400, "invalid_request", MALFORMED, **{"1.a": ["No."], "2.b.c": ["x", "y"]}),
        ),
        (Conflict({"name": ["Taken."]}), said(409, "taken", MALFORMED, name=["Taken."])),
        (
            exceptions.Throttled(detail="Ten a day.", wait=2.5),
            said(429, "rate_limited", "Ten a day. Expected available in 3 seconds."),
        ),
        (exceptions.Throttled(wait=2.5), said(429, "rate_limited", SLOW_DOWN)),
        (exceptions.MethodNotAllowed("X"), said(405, "method_not_allowed", UNSUPPORTED)),
        (
            exceptions.MethodNotAllowed("X", "Read only."),
            said(405, "method_not_allowed", "Read only."),
        ),
    ],
)
def test_an_exception_of_a_project_keeps_status_code_words_and_extra_data(
    error: Exception, expected: tuple[int, dict[str, Any]]
) -> None:
    assert answer_to(error) == expected


class Item(serializers.Serializer[Any]):
    count = serializers.IntegerField()


class Order(serializers.Serializer[Any]):
    items = Item(many=True)


def test_the_errors_of_nested_serializers_name_the_object_and_the_field() -> None:
    one = Order(data={"items": [{"count": 1}, {"count": "many"}]})
    several = Item(data=[{"count": 1}, {}], many=True)
    found = []
    for serializer in (one, several):
        with pytest.raises(exceptions.ValidationError) as raised:
            serializer.is_valid(raise_exception=True)
        found.append(answer_to(raised.value)[1]["fields"])
    assert found == [
        {"items.1.count": ["A valid integer is required."]},
        {"1.count": ["This field is required."]},
    ]


@pytest.mark.parametrize(
    ("wait", "header"),
    [(2.5, "3"), (7, "7"), (0, None), (-1, None), (float("nan"), None), ("x", None)],
)
def test_the_wait_of_an_exception_is_in_retry_after(wait: Any, header: str | None) -> None:
    response = exception_handler(Reason("Later.", status_code=503, wait=wait), {})
    assert response.headers.get("Retry-After") == header
    limited = exception_handler(RateLimitError(9), {})
    assert (limited.status_code, limited.headers["Retry-After"]) == (429, "9")
    assert limited.headers["Cache-Control"] == "no-store"


@pytest.mark.parametrize("view", [APIView, AuthxView])
def test_the_key_of_errors_without_a_field_is_the_projects_in_its_own_views_only(
    settings: Any, view: Any
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NON_FIELD_ERRORS_KEY": "__all__"}
    detail: Any = {"__all__": ["No."], "device": {"__all__": ["Never."]}}
    body = exception_handler(exceptions.ValidationError(detail), {"view": view()}).data
    key = "__all__" if view is APIView else "non_field_errors"
    assert body["fields"] == {key: ["No."], f"device.{key}": ["Never."]}
    plain = exception_handler(exceptions.ValidationError("No."), {"view": view()}).data
    assert plain["fields"] == {key: ["No."]}
