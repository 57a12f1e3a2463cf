"""The parts that ASGI needs, each by itself; tests/test_asgi.py runs them under a real server."""

from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import User
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.db import connection
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory

from authx import receivers
from authx.models import SecurityEvent
from authx.passwords.backends import ModelBackend
from authx.rest.middleware import APIMiddleware, RequestContextMiddleware
from authx.rest.parsers import MAX_BODY_BYTES, StrictJSONParser
from tests.phone import PASSWORD


@pytest.mark.parametrize("headers", [[], [(b"content-length", b"2")]])
def test_a_body_without_a_length_gets_one(headers: list[tuple[bytes, bytes]]) -> None:
    scope = {"type": "http", "method": "POST", "path": "/users/login", "headers": headers}
    request = ASGIRequest(scope, BytesIO(b"{}"))
    APIMiddleware(lambda _: HttpResponse())(request)
    assert request.META["CONTENT_LENGTH"] == "2"
    assert request.body == b"{}"


def test_a_body_without_a_declared_length_has_the_same_limit() -> None:
    context = {"request": SimpleNamespace(META={}), "encoding": "utf-8"}
    parse = StrictJSONParser().parse
    longest = b'{"a": "' + b"x" * (MAX_BODY_BYTES - 9) + b'"}'
    assert parse(BytesIO(longest), parser_context=context)
    with pytest.raises(RequestDataTooBig):
        parse(BytesIO(longest + b" "), parser_context=context)


@pytest.mark.django_db
def test_a_right_password_that_lets_nobody_in_is_recorded_in_async_views_too(alice: User) -> None:
    async def view(request: HttpRequest) -> HttpResponse:
        assert await ModelBackend().aauthenticate(request, "alice", PASSWORD)
        return HttpResponse()

    middleware: Any = RequestContextMiddleware(view)
    async_to_sync(middleware)(AsyncRequestFactory().get("/"))
    assert SecurityEvent.objects.get().reason == "not_admitted"


@pytest.mark.django_db
def test_the_user_of_a_cookie_is_found_in_async_views_too(alice: User) -> None:
    assert async_to_sync(ModelBackend().aget_user)(alice.pk) == alice
    assert async_to_sync(ModelBackend().aget_user)(0) is None


@pytest.mark.django_db
def test_beside_a_migration_nothing_is_recorded_until_the_tables_are_there(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers.note_migration(using="default")
    with monkeypatch.context() as without_tables:
        without_tables.setattr(connection.introspection, "table_names", list)
        alice.set_password("another one")
        alice.save()
    assert not SecurityEvent.objects.exists()
    alice.set_password("yet another one")
    alice.save()
    assert SecurityEvent.objects.get().kind == "password_changed"
