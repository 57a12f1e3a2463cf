"""What is reported of a failure, to operators by mail or to an error reporter, holds no secret."""

import logging
import re
import sys
from collections.abc import Callable, Iterator
from functools import partial
from itertools import count, takewhile
from typing import Any
from urllib.parse import urlencode

import pytest
from django.contrib.auth import authenticate
from django.contrib.auth.models import User
from django.core import mail
from django.core.mail import EmailMultiAlternatives
from django.core.signals import got_request_exception
from django.db import OperationalError, connection, transaction
from django.http import HttpRequest
from django.utils.log import AdminEmailHandler
from django.views.debug import ExceptionReporter
from rest_framework.request import Request

from authx.contrib.introspection.authentication import ServiceAuthentication
from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import authenticate_service
from authx.models import DeviceSession
from authx.passwords.check import check_password
from authx.passwords.sign_in import change_password, sign_in
from authx.rest.authentication import TokenAuthentication
from authx.sessions.open import open_session
from authx.sessions.refresh import refresh_session
from authx.sessions.revoke import revoke_by_token
from authx.sessions.use import introspect_access_token, use_access_token
from authx.sessions.values import Device
from tests.effort import chosen, rounds
from tests.failing_database import CONTROL
from tests.phone import CLIENT, PASSWORD, Phone
from tests.secrets_watch import Watch
from tests.services import FORM, basic, new_service

pytestmark = pytest.mark.no_cover

NEW_PASSWORD = "another horse entirely, honest"
JSON = "application/json"
TYPES: dict[str, Callable[[Any], Any]] = {FORM: urlencode, JSON: lambda body: body}
MESSAGE = "deep inside"
DIGEST = re.compile(r"[0-9a-f]{128}")
# More than any request or call has.
ALL_STATEMENTS = 40
# What is reported depends on the error only by its status.
ERRORS = [
    (RuntimeError, 500, ALL_STATEMENTS),
    (OperationalError, 503, rounds(2, ALL_STATEMENTS)),
]
EVERY_REQUEST = [
    *((path, kind) for path in ("login", "token", "revoke", "introspect") for kind in TYPES),
    ("password", JSON),
]
SOME_REQUESTS = [("login", JSON), ("token", FORM), ("revoke", JSON), ("introspect", FORM)]
REQUESTS = chosen([*SOME_REQUESTS, ("password", JSON)], EVERY_REQUEST)
CALLS = [
    *("authenticate", "sign_in", "change_password", "check_password"),
    *(
        "open_session",
        "refresh_session",
        "revoke_by_token",
        "use_access_token",
        "introspect_access_token",
    ),
    *("authenticate_service", "bearer", "client"),
]


@pytest.fixture
def service(db: None) -> Service:
    return new_service()


@pytest.fixture
def bodies(phone: Phone) -> dict[str, dict[str, str]]:
    return {
        "login": {"username": "alice", "password": PASSWORD},
        "token": {"grant_type": "refresh_token", "refresh_token": phone.refresh_token},
        "revoke": {"token": phone.refresh_token},
        "introspect": {"token": phone.access_token},
        "password": {"current_password": PASSWORD, "new_password": NEW_PASSWORD},
    }


def failing(error: type[Exception], *, at: int) -> Callable[..., Any]:
    """Return a wrapper in which one statement fails: the first is 0."""
    numbers = count()

    def wrapper(execute: Any, sql: str, params: Any, many: Any, context: Any) -> Any:
        # What the test's own transaction needs goes through.
        if not sql.startswith(CONTROL) and next(numbers) == at:
            raise error(MESSAGE)
        return execute(sql, params, many, context)

    return wrapper


def mailed() -> str:
    messages = [one for one in mail.outbox if isinstance(one, EmailMultiAlternatives)]
    return "".join(str([one.body, one.alternatives]) for one in messages)


@pytest.fixture
def reports(settings: Any) -> Iterator[Callable[[], str]]:
    """Return what was reported: mailed as by Django's default LOGGING, and told to a listener."""
    settings.ADMINS = [("Operator", "operator@example.com")]
    listened: list[str] = []

    def listen(request: HttpRequest, **_: Any) -> None:
        # In the words of the mail, which comes as HTML too.
        listened.append(ExceptionReporter(request, *sys.exc_info()).get_traceback_text())

    handler = AdminEmailHandler(include_html=True)
    handler.setLevel(logging.ERROR)
    logging.getLogger().addHandler(handler)
    got_request_exception.connect(listen)
    yield lambda: "".join(listened) + mailed()
    got_request_exception.disconnect(listen)
    logging.getLogger().removeHandler(handler)
    mail.outbox.clear()


def leaks(watch: Watch, report: str) -> set[str]:
    # Digests aside, which let nobody in: a query runs in generators of Django's, whose frames have
    # no callers left when they are reported, so that nothing hides its parameters.
    secrets = {secret for secret in watch.secrets | {NEW_PASSWORD} if not DIGEST.fullmatch(secret)}
    return {secret for secret in secrets if secret in report}


def send(path: str, kind: str, body: dict[str, str], authorization: str) -> int:
    headers = {"authorization": authorization}
    sent = TYPES[kind](body)
    return CLIENT.post(f"/users/{path}", sent, content_type=kind, headers=headers).status_code


def fail_at_each_statement(
    error: type[Exception], request: Callable[[], int], most: int
) -> set[int]:
    """Return what a request was answered that failed at its first statement, its second..."""
    answers: set[int] = set()
    for at in range(most):
        with connection.execute_wrapper(failing(error, at=at)):
            answer = request()
        # The database itself has not failed: the test's own transaction goes on.
        transaction.set_rollback(False)
        if answer < 500:
            return answers
        answers.add(answer)
    assert most < ALL_STATEMENTS
    return answers


@pytest.fixture
def failed(
    phone: Phone, service: Service, bodies: dict[str, dict[str, str]], without_limits: None
) -> Callable[..., set[int]]:
    authorizations = {
        "introspect": basic(service.pk, service.raw_secret),
        "password": f"Bearer {phone.access_token}",
    }

    def fail(path: str, kind: str, error: type[Exception], most: int = ALL_STATEMENTS) -> set[int]:
        request = partial(send, path, kind, bodies[path], authorizations.get(path, ""))
        return fail_at_each_statement(error, request, most)

    return fail


@pytest.mark.parametrize(("error", "status", "most"), ERRORS)
@pytest.mark.parametrize(("path", "kind"), REQUESTS)
def test_no_report_of_a_failed_request_holds_a_secret(  # noqa: PLR0913, PLR0917 -- fixtures
    failed: Any,
    reports: Any,
    watch: Watch,
    path: str,
    kind: str,
    error: type[Exception],
    status: int,
    most: int,
) -> None:
    assert failed(path, kind, error, most) == {status}
    assert f"/users/{path}" in reports()
    assert MESSAGE in reports()
    assert leaks(watch, reports()) == set()


@pytest.mark.parametrize(("path", "kind"), REQUESTS)
def test_the_search_sees_what_a_report_does_not_hide(  # noqa: PLR0913, PLR0917 -- fixtures
    failed: Any, reports: Any, watch: Watch, settings: Any, path: str, kind: str
) -> None:
    settings.DEBUG = True
    failed(path, kind, RuntimeError, most=3)
    assert leaks(watch, reports())
    watch.forget()


@pytest.fixture
def calls(phone: Phone, alice: User, service: Service) -> dict[str, Callable[[], Any]]:
    """Return what a project's own code may call with a secret, or for one."""
    credentials: dict[str, Any] = {"username": "alice", "password": PASSWORD}
    passwords: dict[str, Any] = {"current_password": PASSWORD, "new_password": NEW_PASSWORD}
    opening: dict[str, Any] = {"device": Device()}
    session, secret = DeviceSession.objects.select_related("user").get(), service.raw_secret
    bearer, client = f"Bearer {phone.access_token}", basic(service.pk, secret)
    named: dict[str, Any] = {"client_id": str(service.pk), "raw_secret": secret}
    rotate = refresh_session
    return {
        "authenticate": partial(authenticate, None, **credentials),
        "sign_in": partial(sign_in, request=HttpRequest(), **credentials, **opening),
        "change_password": partial(change_password, session=session, **passwords),
        "check_password": partial(check_password, alice, PASSWORD),
        "open_session": partial(open_session, user=alice, **opening),
        "refresh_session": partial(rotate, raw_token=phone.refresh_token),
        "revoke_by_token": partial(revoke_by_token, raw_token=phone.refresh_token),
        "use_access_token": partial(use_access_token, raw_token=phone.access_token),
        "introspect_access_token": partial(introspect_access_token, raw_token=phone.access_token),
        "authenticate_service": partial(authenticate_service, **named),
        "bearer": partial(TokenAuthentication().authenticate, a_request(bearer)),
        "client": partial(ServiceAuthentication().authenticate, a_request(client)),
    }


def a_request(authorization: str) -> Request:
    request = HttpRequest()
    request.META["HTTP_AUTHORIZATION"] = authorization
    return Request(request)


def report_of(call: Callable[[], Any], *, at: int) -> str:
    """Return what is reported of a call that fails at a statement; nothing if it has fewer."""
    try:
        with connection.execute_wrapper(failing(RuntimeError, at=at)):
            call()
    except RuntimeError:
        kind, error, traceback = sys.exc_info()
        assert traceback
        transaction.set_rollback(False)
        # Without this very function, which hides nothing.
        reporter = ExceptionReporter(None, kind, error, traceback.tb_next)
        return reporter.get_traceback_text() + reporter.get_traceback_html()
    return ""


def reports_of(call: Callable[[], Any]) -> str:
    reports = (report_of(call, at=at) for at in range(ALL_STATEMENTS))
    return "".join(takewhile(bool, reports))


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.usefixtures("without_limits")
def test_no_report_of_a_failed_call_holds_a_secret(calls: Any, watch: Watch, name: str) -> None:
    report = reports_of(calls[name])
    assert MESSAGE in report
    assert leaks(watch, report) == set()


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.usefixtures("without_limits")
def test_the_search_sees_what_such_a_report_does_not_hide(
    calls: Any, watch: Watch, settings: Any, name: str
) -> None:
    settings.DEBUG = True
    reports = (report_of(calls[name], at=at) for at in range(ALL_STATEMENTS))
    assert any(leaks(watch, report) for report in takewhile(bool, reports))
