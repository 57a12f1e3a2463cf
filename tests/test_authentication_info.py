"""The answer that renewed an access token says so, in a header (RFC 7615), and no other does."""

from collections.abc import Iterator
from typing import Any

import pytest
from django.test import override_settings
from django.urls import path
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.models import DeviceSession
from backend.urls import urlpatterns as own_urlpatterns
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone

HEADER = "Authentication-Info"


class ProjectView(APIView):
    def get(self, request: Request) -> Response:
        return Response({"user": request.user.pk}, status=int(request.query_params["status"]))


urlpatterns = [*own_urlpatterns, path("project", ProjectView.as_view())]


@pytest.fixture
def project() -> Iterator[None]:
    """Add a view that knows nothing of authx but the default authentication class."""
    with override_settings(ROOT_URLCONF=__name__):
        yield


def test_a_renewal_states_the_remaining_lifetime_once(clock: Clock, phone: Phone) -> None:
    assert HEADER not in phone.call().headers
    clock.forward(seconds=61)
    assert phone.call().headers[HEADER] == "expires_in=900"
    assert HEADER not in phone.call().headers


def test_the_stated_lifetime_is_the_enforced_one(clock: Clock, phone: Phone) -> None:
    for _ in range(4):
        clock.forward(minutes=13)
        told = phone.call().headers[HEADER]
    assert told == f"expires_in={(60 - 52) * 60}"
    clock.forward(minutes=8, microseconds=-1)
    assert phone.is_signed_in
    clock.forward(microseconds=1)
    assert not phone.is_signed_in


def test_a_use_that_renews_nothing_states_nothing(
    settings: Any, clock: Clock, phone: Phone
) -> None:
    settings.REST_KNOX = settings.REST_KNOX | {"AUTO_REFRESH": False}
    clock.forward(seconds=61)
    assert HEADER not in phone.call().headers
    session = DeviceSession.objects.get()
    assert session.last_used_at > session.created


def test_a_refused_token_states_nothing(clock: Clock, phone: Phone) -> None:
    clock.forward(minutes=15)
    assert HEADER not in phone.call().headers


@pytest.mark.usefixtures("project")
@pytest.mark.parametrize("status", [200, 404, 500])
def test_a_view_of_the_project_states_it_too_whatever_its_status(
    clock: Clock, phone: Phone, status: int
) -> None:
    clock.forward(seconds=61)
    headers = {"authorization": f"Bearer {phone.access_token}"}
    answer = phone.client.get(f"/project?status={status}", headers=headers)
    assert (answer.status_code, answer.headers[HEADER]) == (status, "expires_in=900")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        ("POST", "logout", None),
        ("POST", "logout-all", {}),
        ("DELETE", "devices/{id}", None),
        ("POST", "password", {"current_password": PASSWORD, "new_password": "a horse of another"}),
    ],
)
def test_an_answer_that_ended_the_token_says_nothing_of_it(
    clock: Clock, phone: Phone, method: str, path: str, body: Any
) -> None:
    clock.forward(seconds=61)
    answer = phone.send(method, path.format(id=phone.session_id), body)
    assert answer.status_code < 300
    assert "Authentication-Info" not in answer.headers


def test_no_client_can_make_it_up(phone: Phone) -> None:
    made_up = {"authx.authentication_info": "expires_in=1", "authentication-info": "expires_in=1"}
    assert HEADER not in phone.send("GET", "me", headers=made_up).headers
