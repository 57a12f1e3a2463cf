"""Fresh proof: what needs a recent sign-in says so (RFC 9470), and a password is enough."""

from datetime import timedelta
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.urls import include, path
from rest_framework.permissions import IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from authx.models import DeviceSession, EventKind, SecurityEvent
from authx.rest.authentication import TokenAuthentication
from authx.rest.permissions import RecentSignIn
from authx.sessions.update import note_authentication
from tests.conftest import Clock
from tests.guessing import WRONG
from tests.phone import PASSWORD, Phone, error_of
from tests.services import introspect, new_service

pytestmark = pytest.mark.django_db

HEADER = (
    'Bearer realm="api", error="insufficient_user_authentication", '
    'error_description="Authenticate again: the last time is too long ago.", max_age="600"'
)


class DeleteAccountView(APIView):
    """As a project would write it."""

    permission_classes = [IsAuthenticated, RecentSignIn(timedelta(minutes=10))]

    def delete(self, request: Request) -> Response:
        request.user.delete()
        return Response(status=HTTPStatus.NO_CONTENT)


class OtherSchemeView(APIView):
    authentication_classes = ()
    permission_classes = [RecentSignIn(timedelta(minutes=10))]

    def get(self, request: Request) -> Response:
        return Response({})


class PlainHandlerView(DeleteAccountView):
    """With DRF's own exception handler."""

    authentication_classes = (TokenAuthentication,)

    def get_exception_handler(self) -> Any:
        return exception_handler


urlpatterns = [
    path("users/", include("authx.urls")),
    path("account", DeleteAccountView.as_view()),
    path("plain", PlainHandlerView.as_view()),
    path("other", OtherSchemeView.as_view()),
]


def delete_account(phone: Phone, where: str = "/account") -> Any:
    headers = {"authorization": f"Bearer {phone.access_token}"}
    return phone.client.delete(where, headers=headers)


def reauthenticate(phone: Phone, password: str = PASSWORD) -> Any:
    return phone.send("POST", "reauthenticate", {"current_password": password})


@pytest.mark.urls(__name__)
def test_right_after_the_sign_in_nothing_is_asked(clock: Clock, phone: Phone) -> None:
    clock.forward(minutes=10)
    assert delete_account(phone).status_code == HTTPStatus.NO_CONTENT


@pytest.mark.urls(__name__)
@pytest.mark.parametrize("where", ["/account", "/plain"])
def test_later_the_password_is_asked_for_and_is_enough(
    clock: Clock, phone: Phone, where: str
) -> None:
    clock.forward(minutes=10, seconds=1)
    refused = delete_account(phone, where)
    assert refused.status_code == HTTPStatus.UNAUTHORIZED
    assert refused.headers["WWW-Authenticate"] == HEADER
    assert User.objects.exists()
    # The tokens are as good as before.
    assert phone.is_signed_in
    assert phone.refresh().is_signed_in
    assert delete_account(phone, where).status_code == HTTPStatus.UNAUTHORIZED
    assert reauthenticate(phone).status_code == HTTPStatus.OK
    assert delete_account(phone, where).status_code == HTTPStatus.NO_CONTENT


@pytest.mark.urls(__name__)
def test_the_refusal_has_the_shape_of_any_error(clock: Clock, phone: Phone) -> None:
    clock.forward(minutes=11)
    assert error_of(delete_account(phone)) == (401, "insufficient_user_authentication")


@pytest.mark.urls(__name__)
def test_who_has_no_session_has_no_recent_sign_in(phone: Phone) -> None:
    assert phone.client.get("/other").status_code in {HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN}


def test_a_wrong_password_is_no_proof_and_is_limited(clock: Clock, phone: Phone) -> None:
    before = DeviceSession.objects.get().authenticated_at
    clock.forward(minutes=1)
    answers = [reauthenticate(phone, WRONG) for _ in range(6)]
    assert [answer.status_code for answer in answers] == [400] * 5 + [429]
    assert "current_password" in answers[0].json()["fields"]
    assert DeviceSession.objects.get().authenticated_at == before
    failed = SecurityEvent.objects.filter(kind=EventKind.REAUTHENTICATION_FAILED)
    assert failed.count() == 5


def test_services_and_the_app_learn_when_it_was(clock: Clock, phone: Phone) -> None:
    signed_in_at = int(DeviceSession.objects.get().authenticated_at.timestamp())
    clock.forward(minutes=5)
    service = new_service()
    assert introspect(service, phone.access_token)["auth_time"] == signed_in_at
    assert phone.call().json()["auth_time"] == signed_in_at
    assert reauthenticate(phone).json() == {"auth_time": signed_in_at + 300}
    assert introspect(service, phone.access_token)["auth_time"] == signed_in_at + 300
    assert phone.call().json()["auth_time"] == signed_in_at + 300
    assert SecurityEvent.objects.filter(kind=EventKind.REAUTHENTICATED).count() == 1


def test_a_project_proves_it_in_its_own_way(clock: Clock, phone: Phone) -> None:
    clock.forward(minutes=5)
    session = DeviceSession.objects.get()
    note_authentication(session=session)
    assert session.authenticated_at == DeviceSession.objects.get().authenticated_at
    assert phone.call().json()["auth_time"] == int(session.authenticated_at.timestamp())


def test_a_setting_names_endpoints_of_ours(clock: Clock, phone: Phone, settings: Any) -> None:
    clock.forward(minutes=11)
    asked = {"logout-all": timedelta(minutes=10)}
    settings.AUTHX = settings.AUTHX | {"RECENT_SIGN_IN": asked}
    refused = error_of(phone.send("POST", "logout-all", {}))
    assert refused == (401, "insufficient_user_authentication")
    assert phone.is_signed_in
    reauthenticate(phone)
    assert phone.send("POST", "logout-all", {}).status_code == HTTPStatus.OK
