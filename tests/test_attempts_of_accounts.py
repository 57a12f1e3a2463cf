"""Attempts are counted for the account that a name signs in, and for nobody in an outage."""

from base64 import b64encode
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import AnonymousUser, User
from django.core.management import call_command
from django.db import OperationalError, connection
from django.http import HttpRequest, JsonResponse
from django.test import Client, RequestFactory, override_settings
from django.urls import path
from rest_framework.authentication import BasicAuthentication
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx.api import open_session
from authx.context import RequestContext, use_context
from authx.models import SecurityEvent
from authx.passwords.backends import ModelBackend
from authx.passwords.limits import (
    account_bucket,
    password_attempt,
    resolved_in_attempt,
    sign_in_attempt,
    sign_in_limits,
)
from authx.throttling.limits import Limit, consume, give_back
from authx.throttling.store import store
from authx.usernames import find_user_by_name
from tests import backends
from tests.conftest import Clock
from tests.failing_database import fail_every_statement
from tests.guessing import guess, statuses
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db

BY_EMAIL = f"{backends.HERE}.EmailBackend"
IN_ANY_CASE = f"{backends.HERE}.CaseInsensitiveBackend"
BY_NAME = "authx.passwords.backends.ModelBackend"
FULL = HTTPStatus.TOO_MANY_REQUESTS


@pytest.fixture
def addressed(alice: User) -> User:
    alice.email = "alice@example.com"
    alice.save(update_fields=["email"])
    return alice


# --- Whose attempts they are


def test_a_name_and_an_address_of_one_account_share_its_count(
    clock: Clock, addressed: User, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = [BY_EMAIL, BY_NAME]
    assert statuses(3, "alice@example.com") + statuses(2) == [400] * 5
    assert guess("Alice@example.com").status_code == guess().status_code == FULL


def test_a_name_in_another_case_that_signs_the_same_user_in_shares_the_count(
    clock: Clock, alice: User, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = [IN_ANY_CASE]
    assert statuses(3, "ALICE") + statuses(2, "alice") == [400] * 5
    assert guess("Alice").status_code == FULL


def test_a_known_device_gets_in_however_its_owner_writes_the_name(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = [IN_ANY_CASE]
    assert statuses(6)[-1] == FULL
    assert guess("ALICE", PASSWORD, credential=phone.credential).status_code == HTTPStatus.OK


def test_a_name_of_several_accounts_signs_nobody_in(
    alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    User.objects.create_user("ALICE", password=PASSWORD)
    manager = type(User.objects)
    monkeypatch.setattr(
        manager, "get_by_natural_key", lambda self, name: self.get(username__iexact=name)
    )
    assert error_of(guess(password=PASSWORD)) == (400, "invalid_grant")


def test_without_a_backend_that_finds_users_the_natural_key_does(
    alice: User, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    assert find_user_by_name("alice") == alice
    assert find_user_by_name("nobody") is None


def test_tenants_whose_users_have_the_same_key_have_a_count_each(
    alice: User, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.AUTHX = settings.AUTHX | {"ACCOUNT_SCOPE": f"{backends.HERE}.tenant"}
    one = account_bucket(alice.pk).key
    monkeypatch.setattr(backends, "current_tenant", "another")
    assert account_bucket(alice.pk).key != one


def test_unlocking_clears_every_count_of_the_account(clock: Clock, phone: Phone) -> None:
    assert statuses(6)[-1] == statuses(6, credential=phone.credential)[-1] == FULL
    call_command("unlock_password", "--user", "alice")
    assert statuses(1) + statuses(1, credential=phone.credential) == [400] * 2


def test_a_crossed_limit_is_recorded_for_the_account(clock: Clock, alice: User) -> None:
    statuses(6)
    told = SecurityEvent.objects.get(kind="sign_in_limited")
    assert told.user_id == alice.pk


def test_an_attempt_within_another_counts_once(clock: Clock, alice: User) -> None:
    limits = sign_in_limits("alice")
    with password_attempt(*limits), password_attempt(*limits) as inner:
        inner.succeed()
    # The inner one neither counted nor cleared anything.
    assert statuses(5) == [400] * 4 + [FULL]


def test_what_an_attempt_knows_of_a_name_is_said_once_and_to_the_same_backend(alice: User) -> None:
    backend = ModelBackend()
    assert resolved_in_attempt("alice", backend) is None
    for asked, name, known in [
        (backend, "alice", True),
        (backend, "bob", False),
        (backends.EmailBackend(), "alice", False),
    ]:
        with sign_in_attempt("alice"):
            assert bool(resolved_in_attempt(name, asked)) is known
            assert resolved_in_attempt(name, asked) is None


# --- Networks


@pytest.mark.parametrize(
    ("setting", "address"),
    [
        ("SIGN_IN_RATES_PER_SUBNET", "2001:db8:0:{}::1"),
        ("SIGN_IN_RATES_PER_SITE", "192.0.2.{}"),
        ("SIGN_IN_RATES_PER_SITE", "2001:db8:0:{}00::1"),
    ],
)
def test_addresses_of_one_subnet_have_a_limit_together(
    clock: Clock, settings: Any, setting: str, address: str
) -> None:
    settings.AUTHX = settings.AUTHX | {setting: ["3/minute"]}
    answers = [
        guess(f"user{number}", REMOTE_ADDR=address.format(number)).status_code
        for number in range(1, 5)
    ]
    assert answers == [400, 400, 400, FULL]
    assert guess("another", REMOTE_ADDR="198.51.100.1").status_code == 400


def test_an_ipv4_address_written_as_ipv6_is_one() -> None:
    with use_context(RequestContext(ip="::ffff:192.0.2.1")):
        assert [limit.kind for limit in sign_in_limits("nobody")] == [
            "sign-ins to an account",
            "sign-ins from a network",
            "sign-ins from a site",
        ]
    # Without an address there is no network.
    assert len(sign_in_limits("nobody")) == 1


# --- Outages


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(
    "table", ["passwordfailures", "authx_devicesession", "authx_securityevent"]
)
def test_right_passwords_that_an_outage_refuses_use_up_no_attempt(
    clock: Clock, alice: User, table: str
) -> None:
    refuse = fail_every_statement(OperationalError("away"))

    def writes_fail(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if table in sql and not sql.startswith("SELECT"):
            return refuse(execute, sql, params, many, context)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(writes_fail):
        for _ in range(6):
            answer = guess(password=PASSWORD)
            assert answer.status_code == HTTPStatus.SERVICE_UNAVAILABLE
    assert guess(password=PASSWORD).status_code == HTTPStatus.OK


@pytest.mark.parametrize("where", ["shared", "own"])
def test_an_attempt_that_is_given_back_is_one_and_the_newest(
    clock: Clock, where: str, settings: Any
) -> None:
    if where == "own":
        settings.AUTHX = settings.AUTHX | {"THROTTLE_STORAGE_URL": "memory://"}
    limit = Limit("a kind", "somebody", ["2/minute", "3/hour"])
    consume(limit)
    clock.forward(seconds=30)
    consume(limit)
    give_back(limit)
    left = store().run(
        lambda limiter: [
            limiter.get_window_stats(one, limit.key).remaining for one in limit.windows
        ]
    )
    assert left == [1, 2]
    # What is left is the older one.
    clock.forward(seconds=31)
    consume(limit)
    consume(limit)


def test_giving_back_what_nobody_took_changes_nothing(clock: Clock) -> None:
    limit = Limit("a kind", "somebody", ["2/minute"])
    give_back(limit)
    consume(limit)
    consume(limit)
    with pytest.raises(Exception, match="Expected available"):
        consume(limit)


# --- A right password that lets nobody in


def by_the_admin(client: Client) -> int:
    form = {"username": "alice", "password": PASSWORD}
    return client.post("/admin/login/?next=/admin/", form).status_code


def reasons() -> list[str]:
    return list(SecurityEvent.objects.order_by("pk").values_list("reason", flat=True))


def test_a_right_password_of_somebody_who_may_not_enter_the_admin_counts_and_is_recorded(
    clock: Clock, alice: User
) -> None:
    assert statuses(3) == [400] * 3
    assert [by_the_admin(Client()) for _ in range(3)] == [200, 200, FULL]
    assert reasons()[3:5] == ["not_admitted"] * 2


def test_a_right_password_that_lets_in_clears_the_count(clock: Clock, alice: User) -> None:
    User.objects.update(is_staff=True)
    assert statuses(4) == [400] * 4
    assert by_the_admin(Client()) == HTTPStatus.FOUND
    assert statuses(5) == [400] * 5
    assert "not_admitted" not in reasons()


class Basic(APIView):
    authentication_classes = [BasicAuthentication]

    def get(self, request: Request) -> Response:
        return Response({"user": request.user.username})


class Own(APIView):
    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def post(self, request: Request) -> Response:
        user = ModelBackend().authenticate(request._request, "alice", PASSWORD)
        assert user
        pair = open_session(user=user, request=request)
        return Response({"generation": pair.session.generation})


def refuses(request: HttpRequest) -> JsonResponse:
    ModelBackend().authenticate(request, username="alice", password=PASSWORD)
    return JsonResponse({})


class OldScheme(APIView):
    """As `obtain_auth_token` of DRF, and the views of SimpleJWT."""

    authentication_classes: list[Any] = []
    permission_classes: list[Any] = []

    def post(self, request: Request) -> Response:
        assert authenticate(request, username="alice", password=PASSWORD)
        return Response({}, status=int(request.query_params["status"]))


urlpatterns = [
    path("basic", Basic.as_view()),
    path("own", Own.as_view()),
    path("old", OldScheme.as_view()),
    path("refuses", refuses),
]
owned = override_settings(ROOT_URLCONF=__name__)


@owned
def test_a_password_with_every_request_is_let_in_each_time(clock: Clock, alice: User) -> None:
    credentials = b64encode(f"alice:{PASSWORD}".encode()).decode()
    client = Client(headers={"Authorization": f"Basic {credentials}"})
    assert [client.get("/basic").status_code for _ in range(8)] == [200] * 8
    assert "not_admitted" not in reasons()


@owned
def test_a_view_of_a_project_that_opens_a_session_lets_in(clock: Clock, alice: User) -> None:
    assert [Client().post("/own").status_code for _ in range(8)] == [200] * 8
    assert "not_admitted" not in reasons()


@owned
def test_a_view_of_another_scheme_that_succeeds_lets_in(clock: Clock, alice: User) -> None:
    assert [Client().post("/old?status=201").status_code for _ in range(8)] == [201] * 8
    assert "not_admitted" not in reasons()


@owned
def test_a_view_of_another_scheme_that_refuses_is_recorded(clock: Clock, alice: User) -> None:
    assert [Client().post("/old?status=403").status_code for _ in range(6)] == [403] * 5 + [FULL]
    assert reasons()[:5] == ["not_admitted"] * 5


@owned
def test_a_view_that_checks_and_refuses_is_recorded(clock: Clock, alice: User) -> None:
    assert Client().get("/refuses").status_code == HTTPStatus.OK
    assert reasons() == ["not_admitted"]


@owned
def test_an_outage_at_the_end_of_a_request_changes_no_answer(
    clock: Clock, alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    def away(**_: Any) -> None:
        raise OperationalError("away")

    monkeypatch.setattr("authx.passwords.admission.record_event", away)
    assert Client().get("/refuses").status_code == HTTPStatus.OK


def test_without_our_middleware_a_right_password_counts_as_a_success(
    clock: Clock, alice: User
) -> None:
    for _ in range(8):
        request = RequestFactory().get("/")
        request.user = AnonymousUser()
        assert ModelBackend().authenticate(request, "alice", PASSWORD)
        assert ModelBackend().authenticate(None, "alice", PASSWORD)
        assert Client().login(username="alice", password=PASSWORD)
