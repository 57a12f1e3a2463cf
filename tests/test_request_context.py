"""Every request has a number and a source, and neither can be chosen by a stranger."""

from typing import Any

import pytest
from django.test import RequestFactory

from authx.context import RequestContext, current_context
from authx.rest.middleware import context_of
from tests.phone import Phone


@pytest.fixture
def behind_a_proxy(settings: Any) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"NUM_PROXIES": 1}


@pytest.mark.parametrize("path", ["/users/me", "/nothing", "/admin/"])
def test_every_answer_carries_a_number_of_its_own(path: str) -> None:
    first, second = (Phone().client.get(path).headers["X-Request-ID"] for _ in range(2))
    assert len(first) == 32
    assert first != second


def test_a_request_id_from_an_untrusted_client_is_not_used() -> None:
    headers = {"x-request-id": "chosen-by-me"}
    assert Phone().client.get("/nothing", headers=headers).headers["X-Request-ID"] != "chosen-by-me"


@pytest.mark.usefixtures("behind_a_proxy")
def test_the_request_id_of_the_proxy_is_kept() -> None:
    headers = {"x-request-id": "edge-0123456789"}
    answer = Phone().client.get("/nothing", headers=headers)
    assert answer.headers["X-Request-ID"] == "edge-0123456789"


@pytest.mark.usefixtures("behind_a_proxy")
@pytest.mark.parametrize("number", ["", "short", "a" * 65, "two lines\n", 'a"quoted"one', "ä" * 9])
def test_a_number_that_could_spoil_a_log_is_replaced(number: str) -> None:
    request = RequestFactory().get("/", HTTP_X_REQUEST_ID=number)
    assert len(context_of(request).request_id) == 32


def test_a_request_context_is_bounded_and_printable() -> None:
    request = RequestFactory().get("/a\nb" + "c" * 999, HTTP_USER_AGENT="app\x00\n/1" + "2" * 999)
    source = context_of(request)
    assert source.path.startswith("/ab")
    assert source.user_agent.startswith("app/1")
    assert (len(source.path), len(source.user_agent)) == (256, 256)


def test_outside_of_a_request_the_context_is_empty() -> None:
    Phone().client.get("/nothing")
    assert current_context() == RequestContext()
