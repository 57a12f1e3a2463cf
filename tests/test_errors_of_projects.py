"""Errors in views of a project that use the exception handler of authx."""

from typing import Any

import pytest
from django.core.exceptions import PermissionDenied
from django.core.signals import got_request_exception
from django.db import connection
from django.test import RequestFactory
from rest_framework import exceptions
from rest_framework.authentication import BaseAuthentication, BasicAuthentication
from rest_framework.parsers import JSONParser, MultiPartParser
from rest_framework.permissions import AllowAny, BasePermission, IsAuthenticated
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from authx import api
from authx.context import RequestContext, use_context
from authx.rest.exceptions import exception_handler
from authx.rest.views.base import AuthxView


class OwnView(APIView):
    """A view of a project that uses the exception handler."""

    authentication_classes: Any = ()
    permission_classes: Any = (AllowAny,)
    parser_classes = (JSONParser, MultiPartParser)
    error: Exception | None = None

    def get_exception_handler(self) -> Any:
        return exception_handler

    def post(self, request: Request) -> Response:
        if self.error is not None:
            raise self.error
        return Response(request.data)


def ask(body: Any = None, content_type: str = "application/json", **attributes: Any) -> Any:
    request = RequestFactory().post("/", body or "{}", content_type)
    response: Any = OwnView.as_view(**attributes)(request)
    return response.render()


class Unpaid(BasePermission):
    message = "Pay first."
    code = "unpaid"

    def has_permission(self, request: Any, view: Any) -> bool:
        return False


class Visitor:
    is_authenticated = True


class AsVisitor(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        return Visitor(), None


class AsNobody(BaseAuthentication):
    def authenticate(self, request: Any) -> Any:
        raise PermissionDenied


@pytest.mark.parametrize("schemes", [(), (AsVisitor,), (AsNobody,)])
@pytest.mark.parametrize("stranger", [None, Visitor])
def test_whoever_the_user_is_a_denial_is_answered_and_logged(
    settings: Any, caplog: Any, schemes: Any, stranger: Any
) -> None:
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"UNAUTHENTICATED_USER": stranger}
    response = ask(authentication_classes=schemes, permission_classes=(Unpaid,))
    expected = "forbidden" if AsNobody in schemes else "unpaid"
    assert (response.status_code, response.data["error"]) == (403, expected)
    assert "authz_fail" in caplog.text


class OpenView(AuthxView):
    authentication_classes = ()
    permission_classes = (AllowAny,)

    def get(self, request: Request) -> Response:
        return Response({})


@pytest.mark.django_db
@pytest.mark.parametrize("stranger", [None, Visitor])
def test_a_stranger_without_a_key_is_counted_by_the_network(settings: Any, stranger: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SESSION_RATES": ["1/minute"]}
    settings.REST_FRAMEWORK = settings.REST_FRAMEWORK | {"UNAUTHENTICATED_USER": stranger}
    with use_context(RequestContext(ip="192.0.2.1")):
        answers = [OpenView.as_view()(RequestFactory().get("/")) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 429]


def test_the_challenge_is_that_of_the_views_own_scheme() -> None:
    schemes: dict[str, Any] = {
        "authentication_classes": (BasicAuthentication,),
        "permission_classes": (IsAuthenticated,),
    }
    response = ask(**schemes)
    assert (response.status_code, response.data["error"]) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == 'Basic realm="api"'


@pytest.mark.parametrize(
    ("parsers", "types"),
    [
        (None, "application/json or multipart/form-data"),
        ((JSONParser, JSONParser), "application/json"),
    ],
)
def test_a_content_type_that_is_not_read_gets_those_that_are(parsers: Any, types: str) -> None:
    attributes = {"parser_classes": parsers} if parsers else {}
    response = ask("x", "text/plain", **attributes)
    assert (response.status_code, response.data["error"]) == (415, "unsupported_media_type")
    assert response.data["error_description"].endswith(f"Send {types}.")
    assert response.headers["Accept"] == types.replace(" or ", ", ")


@pytest.mark.django_db
@pytest.mark.parametrize("error", [RuntimeError("unexpected"), exceptions.NotFound()])
def test_an_error_response_rolls_the_transaction_of_the_request_back(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    # A handled exception is none to Django, which would commit.
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", value=True)
    ask(error=error)
    assert connection.get_rollback()
    connection.set_rollback(False)


def test_a_reporter_that_fails_does_not_fail_the_answer(caplog: Any) -> None:
    seen: list[Any] = []

    def report(request: Any, **_: Any) -> None:
        seen.append(request)
        raise ValueError("no network")

    got_request_exception.connect(report)
    try:
        response = ask(error=RuntimeError("unexpected"))
        assert exception_handler(RuntimeError("unexpected"), {}).status_code == 500
    finally:
        got_request_exception.disconnect(report)
    assert response.data["error"] == "server_error"
    assert len(seen) == 2
    assert seen[0].path == "/"


@pytest.mark.parametrize("name", [name for name in api.__all__ if name.endswith("Error")])
def test_every_error_of_the_python_api_has_an_answer(name: str) -> None:
    if name == "AuthxError":  # only its subclasses are raised
        return
    kind = getattr(api, name)
    response = ask(error=kind(3) if kind is api.RateLimitError else kind())
    assert response.status_code != 500


def test_a_token_that_a_view_of_a_project_refuses_is_a_401() -> None:
    response = ask(error=api.InvalidAccessTokenError("expired"))
    assert (response.status_code, response.data["error"]) == (401, "invalid_token")
    assert response.headers["WWW-Authenticate"] == 'Bearer realm="api", error="invalid_token"'


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (exceptions.PermissionDenied({"detail": "Pay.", "price": "5"}, "unpaid"), "unpaid"),
        (exceptions.PermissionDenied({"detail": "Pay.", "price": "5"}), "forbidden"),
        (exceptions.APIException({"price": "5"}, "unpaid"), "error"),
        # A field that is called so.
        (exceptions.ValidationError({"detail": "Pay."}, "unpaid"), "invalid_request"),
    ],
)
def test_a_code_beside_extra_data_is_kept(error: Exception, code: str) -> None:
    assert ask(error=error).data["error"] == code
