"""What Django answers by itself, before and beside every view, has the one shape too."""

import json
from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from django.core.exceptions import (
    BadRequest,
    DisallowedHost,
    PermissionDenied,
    RequestDataTooBig,
    TooManyFieldsSent,
)
from django.db import OperationalError
from django.http.multipartparser import MultiPartParserError
from django.test import Client
from django.test.client import RequestFactory

from authx.rest.error_views import rate_limited
from backend.wsgi import application
from tests.phone import Phone, error_of

SECRET = "what only the inside knows"
RESOLVE = "django.urls.resolvers.URLResolver.resolve"
FORM = "application/x-www-form-urlencoded"

pytestmark = pytest.mark.django_db


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (BadRequest(SECRET), (400, "invalid_request")),
        (DisallowedHost(SECRET), (400, "invalid_request")),
        (MultiPartParserError(SECRET), (400, "invalid_request")),
        (RequestDataTooBig(SECRET), (413, "payload_too_large")),
        (TooManyFieldsSent(SECRET), (413, "payload_too_large")),
        (PermissionDenied(SECRET), (403, "forbidden")),
        (ZeroDivisionError(SECRET), (500, "server_error")),
        (OperationalError(SECRET), (503, "temporarily_unavailable")),
    ],
    ids=lambda value: type(value).__name__,
)
def test_an_error_outside_of_any_view_is_json(error: Exception, expected: tuple[int, str]) -> None:
    with mock.patch(RESOLVE, side_effect=error):
        response = Phone().client.get("/users/me")
    assert error_of(response) == expected
    assert SECRET not in response.content.decode()
    assert response.headers["Cache-Control"] == "no-store"
    assert response.headers["X-Request-ID"]


def test_a_database_that_is_away_asks_to_come_back_outside_of_views_too() -> None:
    with mock.patch(RESOLVE, side_effect=OperationalError):
        response = Phone().client.get("/users/me")
    assert response.headers["Retry-After"] == "5"


def test_a_failure_carries_the_request_id_under_which_it_is_logged(caplog: Any) -> None:
    with mock.patch(RESOLVE, side_effect=ZeroDivisionError(SECRET)):
        response = Phone().client.get("/users/me")
    number = response.headers["X-Request-ID"]
    assert number in response.json()["error_description"]
    (record,) = [record for record in caplog.records if number in record.getMessage()]
    assert record.exc_info[0] is ZeroDivisionError


@pytest.mark.parametrize(
    ("path", "expected"),
    [("/admin/login/", (403, "text/html; charset=utf-8")), ("/nothing", (404, "application/json"))],
)
def test_a_missing_csrf_token_is_a_page_only_in_the_admin(
    path: str, expected: tuple[int, str]
) -> None:
    response = Client(enforce_csrf_checks=True).post(path, {"username": "x"})
    assert (response.status_code, response.headers["Content-Type"]) == expected


@pytest.mark.parametrize(
    ("content_type", "expected"),
    [
        (FORM, (413, "payload_too_large")),
        ("multipart/form-data; boundary=x", (400, "invalid_request")),
        ("multipart/form-data", (400, "invalid_request")),
    ],
)
def test_a_form_that_the_admin_cannot_read_is_refused(
    content_type: str, expected: tuple[int, str]
) -> None:
    response = Phone().client.post("/admin/login/", b"y" * 3_000_000, content_type)
    assert error_of(response) == expected


@pytest.mark.parametrize("path", ["/users/login", "/users/me", "/nothing"])
@pytest.mark.parametrize("method", ["FOO", "TRACE", "CONNECT", "OPTIONS", "get", "*"])
def test_no_method_makes_an_answer_html(method: str, path: str) -> None:
    response = Phone().client.generic(method, path)
    assert error_of(response)[0] in {400, 401, 404, 405}


@pytest.fixture
def serve(settings: Any) -> Callable[..., tuple[str, dict[str, Any]]]:
    """Return a function that asks the WSGI application itself, as a web server does."""

    def ask(path: str, body: bytes = b"", **environ: str) -> tuple[str, dict[str, Any]]:
        started: list[Any] = []
        request = RequestFactory().post(path, body, content_type=FORM).environ
        chunks = application(request | environ, lambda *told: started.extend(told))  # type: ignore[arg-type]
        return started[0], json.loads(b"".join(chunks))

    settings.ALLOWED_HOSTS = ["testserver"]
    return ask


@pytest.mark.parametrize(
    "parameter",
    [
        "charset=hex",
        "charset=undefined",
        "charset=zlib",
        'charset="rot13"',
        "charset*=utf-8''hex",
        "boundary*=hex''x",
        "boundary*=nonsense''x",
        "x*0*=hex''y; x*1=z",
        "charset=utf-8",
        "charset",
        "=",
        ";;;",
    ],
)
def test_no_parameter_of_a_content_type_makes_django_fail(
    serve: Callable[..., tuple[str, dict[str, Any]]], parameter: str
) -> None:
    status, body = serve("/users/login?a=%ff", b"username=x", CONTENT_TYPE=f"{FORM}; {parameter}")
    assert (status, body["error"]) == ("400 Bad Request", "invalid_request")
    assert set(body["fields"]) == {"password"}


def test_a_query_of_too_many_fields_is_read_no_sooner_than_it_is_asked_for(
    serve: Callable[..., tuple[str, dict[str, Any]]],
) -> None:
    status, _ = serve("/users/login?" + "a=&" * 2000, CONTENT_TYPE=f"{FORM}; charset=utf-8")
    assert status == "400 Bad Request"


@pytest.mark.parametrize("boundary", ["x", '"a b"', "----WebKitFormBoundary7MA4YWxkTrZu0gW"])
def test_the_boundary_of_a_form_with_files_is_kept(boundary: str) -> None:
    environ = RequestFactory().post("/").environ
    environ["CONTENT_TYPE"] = f"multipart/form-data; charset=hex; boundary={boundary}"
    with mock.patch("backend.wsgi.django_application") as django:
        application(environ, mock.Mock())
    (passed, _), _ = django.call_args
    assert passed["CONTENT_TYPE"] == f"multipart/form-data; boundary={boundary}"


def test_a_chunked_body_is_refused_with_the_missing_header() -> None:
    response = Phone().client.post(
        "/users/login", "{}", "application/json", headers={"transfer-encoding": "chunked"}
    )
    assert error_of(response) == (400, "invalid_request")
    assert "Content-Length" in response.json()["error_description"]


def test_a_limit_of_the_project_that_names_no_wait_is_answered_without_one() -> None:
    response = rate_limited(None)
    assert response.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert "Retry-After" not in response
