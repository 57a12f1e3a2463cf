"""A project's own check_password and its own backends decide; authx only stores a hash safely."""

from collections.abc import Callable
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth import authenticate, get_user_model
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.base_user import AbstractBaseUser
from django.contrib.auth.hashers import PBKDF2PasswordHasher, make_password
from django.contrib.auth.models import User
from django.http import HttpRequest, JsonResponse
from django.test import Client, override_settings
from django.urls import path
from django.utils.functional import SimpleLazyObject
from rest_framework.exceptions import APIException
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView, exception_handler

from authx.api import check_password, password_attempt, sign_in_limits
from authx.models import DeviceSession, PasswordFailures
from authx.passwords.check import is_password_locked, upgrade_outdated_hash
from tests.phone import PASSWORD, Phone

pytestmark = pytest.mark.django_db

WRONG = "not the password at all"
djangos_check = AbstractBaseUser.check_password


@pytest.fixture
def outdated(alice: User, phone: Phone) -> User:
    """Alice, signed in on her phone, with a hash that the next check upgrades."""
    alice.password = PBKDF2PasswordHasher().encode(PASSWORD, "salt", iterations=1)
    alice.save(update_fields=["password"])
    DeviceSession.objects.update(auth_hash=alice.get_session_auth_hash())
    return alice


def asks_for_a_code(user: User, raw_password: str) -> bool:
    password, _, code = raw_password.rpartition("|")
    return djangos_check(user, password) and code == "123456"


def refuses_the_suspended(user: User, raw_password: str) -> bool:
    return djangos_check(user, raw_password) and user.last_name != "suspended"


def locks_after_a_failure(user: User, raw_password: str) -> bool:
    is_right = djangos_check(user, raw_password)
    if not is_right:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return is_right


def saves_whatever_happens(user: User, raw_password: str) -> bool:
    is_right = djangos_check(user, raw_password)
    user.save(update_fields=["last_name", "password"])
    return is_right


@pytest.mark.parametrize(
    ("own_check", "raw_password"),
    [
        (asks_for_a_code, f"{PASSWORD}|000000"),
        (refuses_the_suspended, PASSWORD),
        (locks_after_a_failure, WRONG),
        (saves_whatever_happens, WRONG),
    ],
)
def test_what_it_refuses_is_refused(
    outdated: User, own_check: Callable[..., bool], raw_password: str
) -> None:
    User.objects.update(last_name="suspended")
    with mock.patch.object(User, "check_password", own_check):
        assert authenticate(username="alice", password=raw_password) is None
        assert Phone(device={}).try_sign_in(raw_password).status_code == 400
    assert PasswordFailures.objects.get().count >= 1


@pytest.mark.parametrize(
    ("own_check", "raw_password"),
    [(asks_for_a_code, f"{PASSWORD}|123456"), (saves_whatever_happens, PASSWORD)],
)
def test_what_it_accepts_is_accepted_and_an_upgrade_ends_no_session(
    outdated: User, phone: Phone, own_check: Callable[..., bool], raw_password: str
) -> None:
    with mock.patch.object(User, "check_password", own_check):
        assert Phone(device={}).sign_in(raw_password).is_signed_in
    assert not User.objects.get().password.startswith("pbkdf2")
    assert phone.is_signed_in


def test_the_wrapper_that_request_user_is_can_be_checked(outdated: User, phone: Phone) -> None:
    wrapper: Any = SimpleLazyObject(User.objects.get)
    assert check_password(wrapper, PASSWORD)
    assert not check_password(wrapper, WRONG)
    assert not User.objects.get().password.startswith("pbkdf2")
    assert phone.is_signed_in


def test_an_upgrade_unlocks_no_password(outdated: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"MAX_PASSWORD_FAILURES": 1}
    assert not check_password(outdated, WRONG)
    upgrade_outdated_hash(outdated, PASSWORD)
    assert not User.objects.get().password.startswith("pbkdf2")
    assert is_password_locked(User.objects.get())
    assert not check_password(User.objects.get(), PASSWORD)


def test_a_random_password_that_a_check_stores_ends_the_sessions(
    outdated: User, phone: Phone
) -> None:
    def replaces_after_a_failure(user: User, raw_password: str) -> bool:
        is_right = djangos_check(user, raw_password)
        if not is_right:
            user.password = make_password("a password that nobody knows")
            user.save(update_fields=["password"])
        return is_right

    with mock.patch.object(User, "check_password", replaces_after_a_failure):
        assert not check_password(outdated, WRONG)
    assert not phone.is_signed_in


class Directory(BaseBackend):
    """A directory elsewhere that knows everybody's password, and keeps a local copy of a user."""

    keep: Callable[[str], User]

    def authenticate(
        self,
        request: HttpRequest | None,
        username: str | None = None,
        password: str | None = None,
        **_: Any,
    ) -> User | None:
        return type(self).keep(str(username)) if password == PASSWORD else None

    def get_user(self, user_id: int) -> User | None:
        return User.objects.filter(pk=user_id).first()


def makes_it_unusable(name: str) -> User:
    user, created = User.objects.get_or_create(username=name)
    if created:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def copies_the_password(name: str) -> User:
    defaults = {"password": make_password(PASSWORD, "a salt of enough length")}
    return User.objects.update_or_create(username=name, defaults=defaults)[0]


def saves_all_columns(name: str) -> User:
    user = User.objects.get_or_create(username=name)[0]
    columns = [field.attname for field in User._meta.concrete_fields if not field.primary_key]
    user.save(update_fields=columns)
    return user


def saves_what_was_loaded(name: str) -> User:
    User.objects.get_or_create(username=name)
    user = User.objects.defer("email").get(username=name)
    user.save()
    return user


@pytest.mark.parametrize(
    "keep", [makes_it_unusable, copies_the_password, saves_all_columns, saves_what_was_loaded]
)
def test_a_backend_may_save_the_user_while_it_authenticates(
    settings: Any, monkeypatch: pytest.MonkeyPatch, keep: Callable[[str], User]
) -> None:
    settings.AUTHENTICATION_BACKENDS = [f"{__name__}.Directory"]
    monkeypatch.setattr(Directory, "keep", staticmethod(keep), raising=False)
    first = Phone("carol", {"installation_id": "first"}).sign_in()
    second = Phone("carol", {"installation_id": "second"}).sign_in()
    assert second.is_signed_in
    assert first.is_signed_in
    assert Phone("carol", {}).try_sign_in(WRONG).status_code == 400


def own_login(request: HttpRequest) -> JsonResponse:
    name, password = request.POST["username"], request.POST["password"]
    with password_attempt(*sign_in_limits(name)) as attempt:
        user = authenticate(request, username=name, password=password)
        if user is not None:
            attempt.succeed()
    return JsonResponse({"user": user and user.get_username()})


def total_handler(error: Exception, context: dict[str, Any]) -> Any:
    """Answer every exception, as an exception handler of a project may."""
    if not isinstance(error, APIException):
        error = APIException("unexpected")
    return exception_handler(error, context)


class OwnLoginView(APIView):
    authentication_classes = ()
    permission_classes = ()

    def post(self, request: Request) -> Response:
        credentials = {name: str(request.data[name]) for name in ("username", "password")}
        return Response({"found": authenticate(request._request, **credentials) is not None})


class OwnView(APIView):
    def get(self, request: Request) -> Response:
        return Response({"user": request.user.get_username()})


urlpatterns = [
    path("own", OwnView.as_view()),
    path("login", own_login),
    path("api/login", OwnLoginView.as_view()),
]


def test_a_login_of_the_project_counts_its_attempts_and_may_upgrade_a_hash(
    outdated: User, settings: Any
) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]
    with override_settings(ROOT_URLCONF=__name__):
        credentials = {"username": "alice", "password": PASSWORD}
        assert Client().post("/login", credentials).json() == {"user": "alice"}
        wrong = [
            Client().post("/login", credentials | {"password": WRONG}).status_code for _ in range(6)
        ]
    assert wrong == [200] * 5 + [429]


@pytest.mark.parametrize(
    ("authorization", "error"),
    [("Bearer refused", True), ("bearer refused", True), ("Basic refused", False), ("", False)],
)
def test_a_view_of_the_project_says_that_a_token_was_refused(
    settings: Any, authorization: str, *, error: bool
) -> None:
    handler = {"EXCEPTION_HANDLER": "rest_framework.views.exception_handler"}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | handler
    headers = {"authorization": authorization} if authorization else {}
    with override_settings(ROOT_URLCONF=__name__):
        response = Client().get("/own", headers=headers)
    assert response.status_code == 401
    assert ('error="invalid_token"' in response.headers["WWW-Authenticate"]) == error


@pytest.mark.parametrize(
    "handler", ["rest_framework.views.exception_handler", f"{__name__}.total_handler"]
)
def test_a_view_of_the_project_answers_an_exceeded_limit_as_a_throttle_of_its_own(
    alice: User, settings: Any, handler: str
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"EXCEPTION_HANDLER": handler}
    body = {"username": "alice", "password": WRONG}
    with override_settings(ROOT_URLCONF=__name__):
        responses = [
            Client().post("/api/login", body, content_type="application/json") for _ in range(6)
        ]
    assert [response.status_code for response in responses] == [200] * 5 + [429]
    assert int(responses[-1].headers["Retry-After"]) > 0
    assert "throttled" in responses[-1].json()["detail"]


def test_a_password_is_changed_where_set_password_is_the_projects_own(phone: Phone) -> None:
    def set_password(user: AbstractBaseUser, raw_password: str) -> None:
        user.password = make_password(raw_password)

    body = {"current_password": PASSWORD, "new_password": "another horse entirely, honest"}
    with mock.patch.object(get_user_model(), "set_password", set_password):
        assert phone.send("POST", "password", body).status_code == 200
