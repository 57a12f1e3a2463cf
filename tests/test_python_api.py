"""What a project's own code does with sessions, through `authx.api`."""

import asyncio
from collections.abc import Iterator
from http import HTTPStatus
from typing import Any
from unittest import mock

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import OperationalError, connection, connections
from django.http import HttpRequest
from django.test import RequestFactory, override_settings
from django.urls import path
from rest_framework import serializers
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx import api
from authx.models import DeviceSession, SecurityEvent
from authx.rest.serializers import DeviceSerializer
from authx.rest.views.tokens import LoginView
from authx.sessions.values import TokenPair
from tests.conftest import Clock
from tests.failing_database import fail_every_statement
from tests.guessing import guess, statuses
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

HERE = __name__
KEYS = {
    *("access_token", "token_type", "expires_in", "refresh_token", "refresh_token_expires_in"),
    *("session_expires_in", "generation", "device", "device_credential"),
}


@pytest.fixture
def logged_in() -> Iterator[mock.Mock]:
    listener = mock.Mock(__qualname__="listener")
    user_logged_in.connect(listener, weak=False)
    yield listener
    user_logged_in.disconnect(listener)


# --- Opening a session


def test_a_person_whom_the_project_has_signed_in_gets_a_pair(
    alice: User, logged_in: mock.Mock
) -> None:
    request = RequestFactory().post("/code")
    pair = api.open_session(user=alice, request=request, device=api.Device(name="phone"))
    body = api.pair_body(pair)
    assert set(body) == KEYS
    assert Phone(pair=body).refresh().is_signed_in
    logged_in.assert_called_once()
    told = logged_in.call_args.kwargs
    assert (told["user"], told["request"], told["device_session"]) == (alice, request, pair.session)
    # As one sign-in, with its device session.
    assert list(SecurityEvent.objects.values_list("kind", "session_id")) == [
        ("signed_in", pair.session.pk)
    ]


def test_neither_request_nor_device_is_needed(alice: User) -> None:
    assert Phone(pair=api.pair_body(api.open_session(user=alice))).is_signed_in


def test_the_request_of_drf_is_as_good_as_that_of_django(alice: User, logged_in: mock.Mock) -> None:
    plain = RequestFactory().get("/")
    api.open_session(user=alice, request=Request(plain))
    assert logged_in.call_args.kwargs["request"] is plain


def test_an_inactive_user_gets_none(alice: User) -> None:
    alice.is_active = False
    alice.save()
    with pytest.raises(api.InvalidCredentialsError):
        api.open_session(user=alice)


def test_a_response_is_the_same_as_that_of_the_endpoint(alice: User) -> None:
    response = api.pair_response(api.open_session(user=alice), status=HTTPStatus.CREATED)
    assert response.status_code == HTTPStatus.CREATED
    assert set(response.data) == KEYS
    assert response.headers["Cache-Control"] == "no-store"


# --- Tokens outside of views


def test_a_token_is_accepted_outside_of_a_view_with_its_user(phone: Phone, alice: User) -> None:
    session = api.authenticate_token(phone.access_token)
    assert (str(session.pk), session.user) == (phone.session_id, alice)


# As the parameters of a socket or of GraphQL, which are any JSON.
@pytest.mark.parametrize(
    "raw_token", ["", "axa_made-up", "no token", "axa_\0", "\ud800", None, 5, b"axa_", ["axa_"], {}]
)
def test_a_token_that_is_none_is_refused(raw_token: Any) -> None:
    with pytest.raises(api.InvalidAccessTokenError):
        api.authenticate_token(raw_token)


def test_a_token_of_an_ended_session_is_refused(phone: Phone) -> None:
    phone.send("POST", "logout")
    with pytest.raises(api.InvalidAccessTokenError):
        api.authenticate_token(phone.access_token)


def test_an_outage_is_no_refusal(phone: Phone) -> None:
    refuse = fail_every_statement(OperationalError("away"))
    with connection.execute_wrapper(refuse), pytest.raises(OperationalError):
        api.authenticate_token(phone.access_token)


def test_a_use_outside_of_a_view_renews_and_says_where_it_came_from(
    clock: Clock, phone: Phone
) -> None:
    clock.forward(minutes=5)
    context = api.RequestContext(ip="198.51.100.7", user_agent="socket")
    session = api.authenticate_token(phone.access_token, context=context)
    assert session.renewed_at is not None
    assert api.current_context().ip is None


@pytest.mark.django_db(transaction=True)
def test_asynchronous_code_does_the_same(alice: User) -> None:
    async def story() -> None:
        pair = await api.aopen_session(user=alice)
        raw_token = api.pair_body(pair)["access_token"]
        session = await api.aauthenticate_token(raw_token)
        assert await api.arevoke_session(session=session, reason=api.EventKind.ENDED_BY_OPERATOR)
        with pytest.raises(api.InvalidAccessTokenError):
            await api.aauthenticate_token(raw_token)
        await api.aopen_session(user=alice)
        ended = await api.arevoke_all(user_id=alice.pk, reason=api.EventKind.ENDED_BY_OPERATOR)
        assert ended == 1
        await sync_to_async(connections.close_all)()

    asyncio.run(story())


# --- Sessions


def test_live_sessions_are_listed_by_their_last_use(
    clock: Clock, phone: Phone, tablet: Phone, alice: User
) -> None:
    ended = Phone(device={"installation_id": "ended"}).sign_in()
    ended.send("POST", "logout")
    clock.forward(minutes=5)
    assert phone.is_signed_in
    assert [str(one.pk) for one in api.sessions_of(alice)] == [phone.session_id, tablet.session_id]


def test_the_signal_of_a_revocation_names_every_session_that_it_ended(
    phone: Phone, tablet: Phone, committed: Any
) -> None:
    listener = mock.Mock(__qualname__="listener")
    api.sessions_revoked.connect(listener, weak=False)
    try:
        with committed():
            phone.send("POST", "logout-all", {"keep_current": True})
        with committed():
            phone.send("POST", "logout-all")
        ids = [[str(one) for one in call.kwargs["session_ids"]] for call in listener.mock_calls]
    finally:
        api.sessions_revoked.disconnect(listener)
    assert ids == [[tablet.session_id], [phone.session_id]]


# --- Who may sign in


class MoreStepsError(APIException):
    status_code = HTTPStatus.FORBIDDEN
    default_code = "verify_email"
    default_detail = "Verify your address first."


def refuse_the_unverified(user: User, request: HttpRequest | None) -> None:
    if not user.email:
        raise MoreStepsError


@pytest.fixture
def policy(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_POLICY": f"{HERE}.refuse_the_unverified"}


@pytest.mark.usefixtures("policy")
def test_a_project_refuses_a_sign_in_in_its_own_words(alice: User) -> None:
    answer = guess(password=PASSWORD)
    assert error_of(answer) == (HTTPStatus.FORBIDDEN, "verify_email")
    assert answer.json()["error_description"] == "Verify your address first."
    assert not DeviceSession.objects.exists()
    assert SecurityEvent.objects.get().reason == "refused_by_the_project"


@pytest.mark.usefixtures("policy")
def test_a_project_tells_what_is_to_be_done(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    detail = {"detail": "One more step.", "steps": ["totp", "webauthn"]}
    monkeypatch.setattr(MoreStepsError, "default_detail", detail)
    body = guess(password=PASSWORD).json()
    assert (body["error"], body["error_description"]) == ("verify_email", "One more step.")
    assert body["fields"]["steps"] == ["totp", "webauthn"]


@pytest.mark.usefixtures("policy")
def test_a_wrong_password_learns_nothing_of_it(alice: User) -> None:
    assert guess().content == guess("nobody").content


@pytest.mark.usefixtures("policy")
def test_a_refused_sign_in_counts_as_an_attempt(clock: Clock, alice: User) -> None:
    assert statuses(6, password=PASSWORD) == [HTTPStatus.FORBIDDEN] * 5 + [429]


@pytest.mark.usefixtures("policy")
def test_the_policy_is_asked_for_every_way_in(alice: User) -> None:
    with pytest.raises(MoreStepsError):
        api.open_session(user=alice)
    alice.email = "alice@example.com"
    alice.save()
    assert api.open_session(user=alice).session.user == alice
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


# --- Views of a project


class CodeSerializer(serializers.Serializer[Any]):
    code = serializers.CharField()
    device = DeviceSerializer(required=False)


class CodeLoginView(LoginView):
    """Signs in by a code instead of a password."""

    serializer_class = CodeSerializer

    def sign_in(self, credentials: dict[str, Any]) -> TokenPair:
        if credentials["code"] != "123456":
            raise api.InvalidCredentialsError("wrong code")
        user = User.objects.get()
        return api.open_session(user=user, request=self.request, device=self.device_of(credentials))


class PlainView(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def post(self, request: Request) -> Response:
        return api.pair_response(api.open_session(user=User.objects.get(), request=request))


urlpatterns = [path("code", CodeLoginView.as_view()), path("plain", PlainView.as_view())]


@override_settings(ROOT_URLCONF=HERE)
def test_a_subclass_takes_other_credentials(alice: User, client: Any) -> None:
    body = {"code": "123456", "device": {"name": "phone"}}
    pair = client.post("/code", body, content_type="application/json").json()
    assert pair["device"]["name"] == "phone"
    wrong = client.post("/code", body | {"code": "0"}, content_type="application/json")
    assert error_of(wrong) == (400, "invalid_grant")


@override_settings(ROOT_URLCONF=HERE)
def test_any_view_of_a_project_answers_with_a_pair(alice: User, client: Any) -> None:
    answer = client.post("/plain")
    assert set(answer.json()) == KEYS
    assert answer.headers["Cache-Control"] == "no-store"
