"""authx outside of its views: Django's own request, none at all, and test clients."""

from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.test import Client, RequestFactory
from rest_framework.test import APIClient, APIRequestFactory

from authx.models import DeviceSession
from authx.passwords.backends import ModelBackend
from authx.passwords.sign_in import sign_in
from authx.rest.authentication import TokenAuthentication
from authx.rest.views.account import LogoutView, MeView
from authx.sessions.use import use_access_token
from authx.sessions.values import Device
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db


def bearer(phone: Phone) -> dict[str, str]:
    return {"authorization": f"Bearer {phone.access_token}"}


def test_djangos_own_request_is_authenticated_at_a_renewal_too(clock: Clock, phone: Phone) -> None:
    clock.forward(seconds=61)
    request: Any = RequestFactory().get("/", headers=bearer(phone))
    authenticated = TokenAuthentication().authenticate(request)
    assert authenticated is not None
    user, session = authenticated
    assert (user.get_username(), session.renewed_at) == ("alice", session.last_used_at)


def test_a_view_needs_no_middleware(clock: Clock, phone: Phone) -> None:
    clock.forward(seconds=61)
    request = APIRequestFactory().get("/", headers=bearer(phone))
    answer = MeView.as_view()(request)
    assert answer.data["username"] == "alice"
    request = APIRequestFactory().post("/", headers=bearer(phone))
    assert LogoutView.as_view()(request).status_code == 204


def test_nothing_needs_a_request(alice: User) -> None:
    assert authenticate(None, username="alice", password=PASSWORD) == alice
    pair = sign_in(request=None, username="alice", password=PASSWORD, device=Device())
    assert use_access_token(raw_token=pair.raw_access_token).user == alice
    assert pair.session.last_ip is None


def test_an_async_view_reads_the_user_of_a_django_session(alice: User) -> None:
    assert async_to_sync(ModelBackend().aget_user)(alice.pk) == alice
    User.objects.update(is_active=False)
    assert async_to_sync(ModelBackend().aget_user)(alice.pk) is None


def test_a_test_client_may_sign_in_to_django(alice: User) -> None:
    assert Client().login(username="alice", password=PASSWORD)
    assert not Client().login(username="alice", password="a wrong password")


def test_a_forced_session_signs_a_test_in(alice: User, phone: Phone) -> None:
    client: Any = APIClient()
    client.force_authenticate(alice, token=DeviceSession.objects.get())
    assert client.get("/users/me").json()["username"] == "alice"
    assert client.get("/users/devices").json()[0]["current"]
    assert client.post("/users/logout").status_code == 204
    assert not phone.is_signed_in


@pytest.mark.parametrize("path", ["me", "devices", "activity"])
def test_a_forced_user_without_a_session_is_not_signed_in(alice: User, path: str) -> None:
    client = APIClient()
    client.force_authenticate(alice)
    assert client.get(f"/users/{path}").status_code == 401
