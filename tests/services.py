"""Services that introspect tokens."""

from base64 import b64encode
from http import HTTPStatus
from typing import TYPE_CHECKING, Any
from urllib.parse import urlencode

from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import create_service
from tests.phone import CLIENT

if TYPE_CHECKING:
    from django.test.client import _MonkeyPatchedWSGIResponse as Response

FORM = "application/x-www-form-urlencoded"


def basic(client_id: Any, raw_secret: Any) -> str:
    return "Basic " + b64encode(f"{client_id}:{raw_secret}".encode()).decode()


def new_service(name: str = "billing") -> Service:
    service = Service(name=name)
    create_service(service=service)
    return service


def post_introspection(token: str, authorization: str, **extra: str) -> "Response":
    headers = {"authorization": authorization}
    body = urlencode({"token": token} | extra)
    return CLIENT.post("/users/introspect", body, content_type=FORM, headers=headers)


def introspect(service: Service, token: str, **extra: str) -> dict[str, Any]:
    answer = post_introspection(token, basic(service.pk, service.raw_secret), **extra)
    assert answer.status_code == HTTPStatus.OK
    assert answer.headers["Cache-Control"] == "no-store"
    body: dict[str, Any] = answer.json()
    return body
