"""A project that serves ASGI: uvicorn, chunked bodies, async views, callers without an address."""

from collections.abc import Iterator
from http import HTTPStatus
from io import BytesIO
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import SyncToAsync, async_to_sync
from django.core.exceptions import RequestDataTooBig
from django.core.handlers.asgi import ASGIRequest
from django.core.handlers.base import BaseHandler
from django.http import HttpRequest, HttpResponse
from django.test import AsyncRequestFactory, override_settings
from django.urls import path

from authx.context import RequestContext, current_context
from authx.rest import middleware
from authx.rest.parsers import MAX_BODY_BYTES, StrictJSONParser
from tests.phone import PASSWORD
from tests.shop import Shop

pytestmark = pytest.mark.waits

ASYNC_VIEW = """
from asgiref.sync import sync_to_async
from authx.api import current_context
from django.contrib.auth import aauthenticate
from django.http import JsonResponse


async def whoami(request):
    user = await aauthenticate(request, username=request.GET["name"], password=request.GET["word"])
    context = current_context()
    same = await sync_to_async(current_context)() is context
    return JsonResponse({"user": user and user.username, "ip": context.ip, "same": same})
"""
ASYNC_URL = """
from accounts.async_views import whoami
urlpatterns += [path("whoami", whoami)]
"""
ADD_USER = f"""
from django.contrib.auth.models import User
User.objects.create_user("alice", password={PASSWORD!r})
"""
LOGIN = f'{{"username": "alice", "password": "{PASSWORD}"}}'.encode()
JSON = {"content-type": "application/json"}


@pytest.fixture(scope="module")
def shop(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Shop:
    shop = Shop(tmp_path_factory.mktemp("asgi"), wheel)
    shop.follow("Install")
    shop.append("accounts/async_views.py", ASYNC_VIEW)
    shop.append("shop/urls.py", ASYNC_URL)
    shop.manage("migrate")
    shop.shell(ADD_USER)
    return shop


@pytest.fixture(scope="module")
def http(shop: Shop) -> Iterator[httpx.Client]:
    with shop.serving_asgi() as client:
        yield client


def chunks(body: bytes, size: int = 7) -> Iterator[bytes]:
    """Yield a body in parts, which httpx then sends without a Content-Length."""
    for start in range(0, len(body), size):
        yield body[start : start + size]


def test_a_chunked_body_is_read(http: httpx.Client) -> None:
    pair = http.post("/users/login", content=chunks(LOGIN), headers=JSON).json()
    form = f"grant_type=refresh_token&refresh_token={pair['refresh_token']}".encode()
    headers = {"content-type": "application/x-www-form-urlencoded"}
    answer = http.post("/users/token", content=chunks(form), headers=headers)
    assert answer.status_code == HTTPStatus.OK
    me = http.get("/users/me", headers={"authorization": f"Bearer {answer.json()['access_token']}"})
    assert me.json()["username"] == "alice"


@pytest.mark.parametrize("size", [64 * 1024 + 1, 5_000_000])
def test_a_chunked_body_has_the_same_limit(http: httpx.Client, size: int) -> None:
    body = LOGIN + b" " * (size - len(LOGIN))
    answer = http.post("/users/login", content=chunks(body, 65536), headers=JSON)
    assert answer.status_code == HTTPStatus.REQUEST_ENTITY_TOO_LARGE
    assert answer.json()["error"] == "payload_too_large"


def test_an_async_view_signs_in_and_knows_its_request(http: httpx.Client) -> None:
    told = http.get("/whoami", params={"name": "alice", "word": PASSWORD})
    assert told.json() == {"user": "alice", "ip": "127.0.0.1", "same": True}
    assert len(told.headers["x-request-id"]) == 32


def test_guesses_in_an_async_view_are_limited(http: httpx.Client) -> None:
    guess = {"name": "mallory", "word": "a guess"}
    statuses = [http.get("/whoami", params=guess).status_code for _ in range(6)]
    assert statuses == [HTTPStatus.OK] * 5 + [HTTPStatus.TOO_MANY_REQUESTS]


def test_callers_without_an_address_are_not_one_source(shop: Shop) -> None:
    """Behind a Unix socket there is no address; sign-ins and forged tokens of one lock out none."""
    with shop.serving_asgi(shop.root / "socket") as client:
        body = {"username": "", "password": "a guess"}
        for number in range(31):
            client.post("/users/login", json=body | {"username": f"user{number}"})
        for _ in range(61):
            answer = client.get("/users/me", headers={"authorization": "Bearer axa_forged"})
        assert answer.status_code == HTTPStatus.UNAUTHORIZED
        assert client.post("/users/login", content=LOGIN, headers=JSON).status_code == HTTPStatus.OK
    assert shop.log.read_text().count("A request has no client address") == 1


def test_the_warning_of_a_missing_address_comes_once(caplog: pytest.LogCaptureFixture) -> None:
    middleware._warn_without_address.cache_clear()
    request = HttpRequest()
    for _ in range(2):
        assert middleware._noted_context(request).ip is None
    assert len(caplog.records) == 1


@pytest.mark.parametrize("declared", ["", "5"])
def test_a_body_without_a_length_gets_one(declared: str) -> None:
    scope = {"type": "http", "method": "POST", "path": "/users/login", "query_string": b""}
    headers = [(b"content-length", declared.encode())] if declared else []
    request = ASGIRequest(scope | {"headers": headers}, BytesIO(b"12345"))
    assert middleware._refusal(request) is None
    assert request.META["CONTENT_LENGTH"] == "5"
    assert request.read() == b"12345"


def test_a_body_longer_than_it_declares_is_refused() -> None:
    request = HttpRequest()
    request.META["CONTENT_LENGTH"] = "2"
    stream = BytesIO(b" " * (MAX_BODY_BYTES + 1))
    with pytest.raises(RequestDataTooBig):
        StrictJSONParser().parse(stream, parser_context={"request": request})


async def show_context(request: HttpRequest) -> HttpResponse:
    return HttpResponse(current_context().path)


urlpatterns = [path("users/here", show_context), path("here", show_context)]
OURS = [
    "authx.contrib.metrics.middleware.MetricsMiddleware",
    "authx.rest.middleware.RequestContextMiddleware",
    "authx.rest.middleware.APIMiddleware",
]


@pytest.mark.parametrize("where", ["/users/here", "/here", "/users/nowhere"])
def test_our_middlewares_need_no_thread(monkeypatch: pytest.MonkeyPatch, where: str) -> None:
    threads: list[Any] = []
    call = SyncToAsync.__call__

    async def note(self: Any, *args: Any, **kwargs: Any) -> Any:
        threads.append(self.func)
        return await call(self, *args, **kwargs)

    monkeypatch.setattr(SyncToAsync, "__call__", note)
    with override_settings(MIDDLEWARE=OURS, ROOT_URLCONF=__name__, AUTHX={}):
        handler = BaseHandler()
        handler.load_middleware(is_async=True)
        answer: Any = async_to_sync(handler.get_response_async)(AsyncRequestFactory().get(where))
    assert "X-Request-ID" in answer.headers
    assert ("Content-Security-Policy" in answer.headers) == where.startswith("/users/")
    if answer.status_code == HTTPStatus.OK:
        assert answer.content.decode() == where
        assert threads == []
    assert current_context() == RequestContext()


@override_settings(MIDDLEWARE=OURS, ROOT_URLCONF=__name__, SECURE_SSL_REDIRECT=True)
def test_plain_http_is_refused_there_as_well() -> None:
    handler = BaseHandler()
    handler.load_middleware(is_async=True)
    answer = async_to_sync(handler.get_response_async)(AsyncRequestFactory().get("/users/here"))
    assert answer.status_code == HTTPStatus.FORBIDDEN
