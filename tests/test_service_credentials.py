"""Only services of ours may ask about tokens, each by a credential that nobody else can read."""

from collections.abc import Callable
from datetime import datetime, timedelta
from http import HTTPStatus
from io import StringIO
from typing import Any
from urllib.parse import quote

import pytest
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import IntegrityError
from django.test import Client

from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import revoke_service
from tests.conftest import NOON, Clock, Statements
from tests.guessing import altered
from tests.phone import Phone, error_of
from tests.services import basic, introspect, new_service, post_introspection

pytestmark = pytest.mark.portable

UNKNOWN_SERVICE = (HTTPStatus.UNAUTHORIZED, "invalid_client")
LIST = "/admin/authx_introspection/service/"


@pytest.fixture
def service(db: None) -> Service:
    return new_service()


@pytest.fixture
def operator(db: None) -> Client:
    """Return a browser in which a superuser is signed in."""
    client = Client()
    client.force_login(User.objects.create_superuser("operator"))
    return client


def run(*words: str) -> str:
    out = StringIO()
    call_command(*words, stdout=out, stderr=StringIO())
    return out.getvalue()


def encoded(text: Any) -> str:
    """Encode like the strictest OAuth clients, which leave letters and digits alone."""
    return quote(str(text), safe="").replace("-", "%2D").replace("_", "%5F")


def test_a_service_may_encode_its_credential_as_rfc_6749_says(
    phone: Phone, service: Service
) -> None:
    as_sent = basic(encoded(service.pk), encoded(service.raw_secret))
    assert post_introspection(phone.access_token, as_sent).json()["active"]
    assert post_introspection(phone.access_token, as_sent.replace("Basic", "bAsIc")).json()[
        "active"
    ]


def test_without_service_credentials_introspection_is_refused(
    phone: Phone, service: Service
) -> None:
    other = new_service("other")
    lost = Service.objects.get(pk=new_service("lost").pk)
    refused = [
        post_introspection(phone.access_token, authorization)
        for authorization in (
            "",
            "Basic",
            "Basic a b",
            "Basic ?",
            basic(service.pk, "")[:-1],
            basic(service.pk, ""),
            basic("", service.raw_secret),
            basic(other.pk, service.raw_secret),
            basic(service.pk, other.raw_secret),
            basic(lost.pk, lost.digest),
            basic(service.pk, "\udcff\u2603".encode("utf-8", "replace").decode()),
            basic("alice", "correct horse battery staple"),
            basic(service.pk, phone.access_token),
            f"Bearer {phone.access_token}",
            f"Bearer {service.raw_secret}",
        )
    ]
    assert {error_of(answer) for answer in refused} == {UNKNOWN_SERVICE}
    assert {answer.headers["WWW-Authenticate"] for answer in refused} == {'Basic realm="api"'}
    assert len({answer.content for answer in refused}) == 1


def test_a_forged_credential_costs_no_query(
    service: Service, statements: Callable[[], Statements]
) -> None:
    assert service.raw_secret is not None
    with statements() as seen:
        answer = post_introspection("x", basic(service.pk, altered(service.raw_secret)))
    assert error_of(answer) == UNKNOWN_SERVICE
    assert len(seen) == 0


def test_a_revoked_service_gets_no_further_answer_and_others_do(
    phone: Phone, service: Service
) -> None:
    successor = new_service()
    assert revoke_service(service=service)
    assert not revoke_service(service=service)
    answer = post_introspection(phone.access_token, basic(service.pk, service.raw_secret))
    assert error_of(answer) == UNKNOWN_SERVICE
    assert introspect(successor, phone.access_token)["active"]


def test_a_service_outlives_a_key_that_is_still_accepted(
    settings: Any, phone: Phone, service: Service
) -> None:
    settings.SECRET_KEY_FALLBACKS = [settings.SECRET_KEY]
    settings.SECRET_KEY = "the next key" + "x" * 50
    assert introspect(service, phone.access_token)["active"]
    settings.SECRET_KEY_FALLBACKS = []
    answer = post_introspection(phone.access_token, basic(service.pk, service.raw_secret))
    assert error_of(answer) == UNKNOWN_SERVICE


@pytest.mark.parametrize(("seconds", "noted_at"), [(59, NOON), (60, NOON + timedelta(seconds=60))])
def test_the_use_of_a_credential_is_noted_once_a_minute(
    clock: Clock, service: Service, seconds: int, noted_at: datetime
) -> None:
    introspect(service, "x")
    clock.forward(seconds=seconds)
    introspect(service, "x")
    assert Service.objects.get().last_used_at == noted_at


def test_the_command_shows_a_secret_once_and_stores_its_digest_only(phone: Phone) -> None:
    client_id, raw_secret = run("create_service", "billing").split()[1::2]
    assert post_introspection(phone.access_token, basic(client_id, raw_secret)).json()["active"]
    stored = Service.objects.values().get()
    assert (str(stored["id"]), stored["name"]) == (client_id, "billing")
    assert raw_secret not in str(stored)
    assert Service.objects.get().raw_secret is None


@pytest.mark.parametrize("name", ["", "x" * 101])
def test_the_command_refuses_a_name_that_is_none(db: None, name: str) -> None:
    with pytest.raises(CommandError):
        run("create_service", name)
    assert not Service.objects.exists()


def test_the_command_revokes_by_id(phone: Phone, service: Service) -> None:
    assert run("revoke_service", str(service.pk).upper()) == f"Revoked billing ({service.pk}).\n"
    answer = post_introspection(phone.access_token, basic(service.pk, service.raw_secret))
    assert error_of(answer) == UNKNOWN_SERVICE


@pytest.mark.parametrize("client_id", ["", "billing", "00000000-0000-4000-8000-000000000000"])
def test_the_command_names_the_live_services_where_an_id_is_wrong(
    service: Service, client_id: str
) -> None:
    revoke_service(service=new_service("gone"))
    with pytest.raises(CommandError) as refused:
        run("revoke_service", client_id)
    assert str(refused.value).endswith(f"Live services:\n  billing ({service.pk})")
    run("revoke_service", str(service.pk))
    with pytest.raises(CommandError, match="Live services: none"):
        run("revoke_service", str(service.pk))


def test_the_admin_shows_a_secret_once_in_a_response_that_is_not_cached(
    phone: Phone, operator: Client
) -> None:
    answer = operator.post(f"{LIST}add/", {"name": "<b>billing</b>"})
    service = Service.objects.get()
    raw_secret = answer.context["service"].raw_secret
    assert answer.status_code == HTTPStatus.OK
    assert answer.content.decode().count(raw_secret) == 1
    assert "<b>billing</b>" not in answer.content.decode()
    assert "no-store" in answer.headers["Cache-Control"]
    assert "messages" not in answer.cookies
    assert post_introspection(phone.access_token, basic(service.pk, raw_secret)).json()["active"]
    assert LogEntry.objects.values_list("user__username", "object_id").get() == (
        "operator",
        str(service.pk),
    )


def test_the_admin_shows_no_secret_and_no_digest_afterwards(
    operator: Client, service: Service
) -> None:
    for path in (LIST, f"{LIST}?q=billing", f"{LIST}{service.pk}/change/", f"{LIST}add/"):
        html = operator.get(path).content.decode()
        assert service.digest not in html
        assert str(service.raw_secret) not in html


def test_the_admin_changes_and_deletes_nothing(operator: Client, service: Service) -> None:
    page = f"{LIST}{service.pk}"
    assert operator.post(f"{page}/change/", {"name": "x"}).status_code == HTTPStatus.FORBIDDEN
    assert operator.post(f"{page}/delete/", {"post": "yes"}).status_code == HTTPStatus.FORBIDDEN
    assert Service.objects.get().name == "billing"


@pytest.mark.parametrize(
    ("permissions", "revoked"),
    [(["view_service", "change_service"], False), (["view_service", "revoke_service"], True)],
)
def test_the_admin_revokes_by_permission_and_says_who_did_it(
    service: Service, permissions: list[str], *, revoked: bool
) -> None:
    clerk, client = User.objects.create_user("clerk", is_staff=True), Client()
    clerk.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    client.force_login(clerk)
    client.post(LIST, {"action": "revoke", "_selected_action": [service.pk]})
    assert (Service.objects.get().revoked_at is not None) is revoked
    assert LogEntry.objects.filter(object_id=service.pk).exists() is revoked


@pytest.mark.parametrize("field", ["name", "digest"])
def test_the_database_refuses_a_service_without_name_or_digest(
    service: Service, field: str
) -> None:
    with pytest.raises(IntegrityError):
        Service.objects.update(**{field: ""})


@pytest.mark.parametrize("show", [str, repr, "{:}".format, "%s".__mod__])
def test_no_printed_service_holds_a_secret(service: Service, show: Any) -> None:
    assert show(service).count("billing") == 1
    assert str(service.raw_secret) not in show(service)
    assert service.digest not in show(service)
