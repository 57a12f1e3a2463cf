"""What can fail in a project fails, for an error reporter to report; runs in a process of its own.

It prints what it issued and typed, and what reports must not contain.
"""

import json
import sys
from collections.abc import Callable
from itertools import count
from typing import Any, Final
from urllib.parse import quote_plus

import httpx
import sentry_sdk
from django.conf import settings
from django.contrib.auth.models import User
from django.contrib.auth.signals import user_logged_in
from django.db import OperationalError, connection
from django.db.models.signals import post_save
from django.http import HttpRequest, HttpResponse
from django.test import override_settings
from django.urls import path
from django.views.decorators.csrf import csrf_exempt
from rest_framework.decorators import api_view
from rest_framework.request import Request

from authx.checks.throttling import RATES
from authx.signals import security_event_logged, session_opened
from authx.tokens import TokenCodec
from backend.urls import urlpatterns as ours
from backend.wsgi import application
from tasks.cleanup import sweep
from tests.failing_database import CONTROL
from tests.services import basic, new_service

PASSWORD: Final = "correct horse battery staple"
NEW_PASSWORD: Final = "another horse entirely, honest"
KEY: Final = "an-idempotency-key-of-the-app"
LOGIN: Final = {"username": "alice", "password": PASSWORD}
CHANGE: Final = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
MESSAGE: Final = "deep inside"
# More than any request has.
ALL_STATEMENTS: Final = 60

secrets = {PASSWORD, quote_plus(PASSWORD), NEW_PASSWORD, KEY, settings.SECRET_KEY}
client = httpx.Client(
    # As a server does, which responds 500 to what the application raises.
    transport=httpx.WSGITransport(app=application, raise_app_exceptions=False),
    base_url="http://127.0.0.1",
)


@api_view(["GET", "POST"])
def fail(request: Request) -> HttpResponse:
    """Fail as a view of a project may, with secrets in its variables."""
    authorization, headers, body = request.headers["Authorization"], request.headers, request.data
    raise ZeroDivisionError(f"{authorization} {bool(headers)} {bool(body)}")


@csrf_exempt
def fail_outside_of_rest(request: HttpRequest) -> HttpResponse:
    posted, cookies = request.POST, request.COOKIES
    raise ZeroDivisionError(f"{bool(posted)} {bool(cookies)}")


urlpatterns = [*ours, path("rest", fail), path("plain", fail_outside_of_rest)]


def fail_in_receiver(**named: Any) -> None:
    """Fail as a receiver of a project may; that of a changed password sees the password."""
    password = getattr(named.get("instance"), "_password", None)
    raise ZeroDivisionError(bool(password))


def note_tokens() -> None:
    mint = TokenCodec._mint

    def noted(*named: Any) -> Any:
        raw_token = mint(*named)
        secrets.add(raw_token)
        return raw_token

    setattr(TokenCodec, "_mint", noted)  # noqa: B010 -- a type checker sees a method


def failing(error: type[Exception], *, at: int) -> Callable[..., Any]:
    """Return a wrapper in which one statement fails: the first is 0."""
    numbers = count()

    def wrapper(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        if not sql.startswith(CONTROL) and next(numbers) == at:
            raise error(MESSAGE)
        return execute(sql, params, many, context)

    return wrapper


def fail_at_each_statement(call: Callable[[], int]) -> None:
    """Fail at the first statement of a request, at its second..., with two kinds of errors."""
    for error in (RuntimeError, OperationalError):
        for at in range(ALL_STATEMENTS):
            with connection.execute_wrapper(failing(error, at=at)):
                is_over = call() < 500
            if is_over:
                break


def post(path: str, body: dict[str, Any], *, kind: str = "json", **headers: str) -> httpx.Response:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    sent: dict[str, Any] = {kind: body}
    response = client.post(path, headers=named, **sent)
    secrets.update(response.cookies.values())
    return response


def fail_in(path: str, body: dict[str, Any], *, kind: str, **headers: str) -> None:
    fail_at_each_statement(lambda: post(path, body, kind=kind, **headers).status_code)


def sign_in() -> dict[str, Any]:
    pair: dict[str, Any] = post("/users/login", LOGIN).json()
    return pair


def fail_in_endpoints(kind: str) -> None:
    pair, service = sign_in(), new_service()
    credential = basic(service.pk, service.raw_secret)
    secrets.add(credential.removeprefix("Basic "))
    fail_in("/users/login", LOGIN, kind=kind)
    token = {"token": pair["access_token"]}
    fail_in("/users/introspect", token, kind=kind, authorization=credential)
    grant = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
    fail_in("/users/token", grant, kind=kind, idempotency_key=KEY)
    fail_in("/users/revoke", {"token": pair["refresh_token"]}, kind=kind)


def fail_in_views() -> None:
    pair = sign_in()
    bearer = f"Bearer {pair['access_token']}"
    seen = {"authorization": bearer, "idempotency_key": KEY, "x_copy": bearer}
    body = pair | {"pass": PASSWORD, "list": [pair, {"new-password": NEW_PASSWORD}]}
    assert post("/rest", body, **seen).status_code == 500
    query = {"access_token": pair["access_token"], "password": PASSWORD}
    assert client.get("/rest", params=query, headers={"authorization": bearer}).status_code == 500


def fail_in_account() -> None:
    authorization = f"Bearer {sign_in()['access_token']}"
    headers = {"authorization": authorization}
    fail_at_each_statement(lambda: client.get("/users/me", headers=headers).status_code)
    fail_in("/users/password", CHANGE, kind="json", authorization=authorization)
    alice = User.objects.get()
    alice.set_password(PASSWORD)
    alice.save()


def sign_in_to_admin() -> int:
    client.cookies.clear()
    client.get("/admin/login/")
    form = {"username": "operator", "password": PASSWORD}
    form["csrfmiddlewaretoken"] = client.cookies["csrftoken"]
    return post("/admin/login/", form, kind="data").status_code


def fail_in_admin() -> None:
    User.objects.create_superuser("operator", password=PASSWORD)
    fail_at_each_statement(sign_in_to_admin)
    # Now the cookies of the operator are sent.
    assert post("/plain", {"pass": PASSWORD}, kind="data").status_code == 500


def fail_in_receivers() -> None:
    for signal in (session_opened, security_event_logged, user_logged_in):
        signal.connect(fail_in_receiver)
    pair = sign_in()
    post_save.connect(fail_in_receiver, sender=User)
    post("/users/password", CHANGE, authorization=f"Bearer {pair['access_token']}")


def fail_everywhere() -> None:
    settings.ROOT_URLCONF = __name__
    # Hundreds of sign-ins; nothing that is reported depends on the hash.
    override_settings(PASSWORD_HASHERS=["django.contrib.auth.hashers.MD5PasswordHasher"]).enable()
    settings.AUTHX |= {name: ["1000000/minute"] for name in RATES}
    note_tokens()
    User.objects.create_user("alice", password=PASSWORD)
    fail_in_endpoints("json")
    fail_in_endpoints("data")
    fail_in_views()
    fail_in_account()
    fail_in_admin()
    with connection.execute_wrapper(failing(RuntimeError, at=0)):
        sweep.apply()
    fail_in_receivers()
    secrets.update(User.objects.values_list("password", flat=True))
    sentry_sdk.flush()
    sys.stdout.write(json.dumps(sorted(secrets)))
