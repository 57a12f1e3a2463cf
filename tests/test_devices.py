"""A user's own devices: seen, renamed and ended by that user and by nobody else."""

import uuid
from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User

from authx.models import DeviceSession
from tests.conftest import Clock
from tests.phone import Phone, error_of

NOT_FOUND = b'{"error":"not_found","error_description":"The resource does not exist."}'
FIELDS = {
    "id",
    "name",
    "platform",
    "app_version",
    "created_at",
    "last_used_at",
    "last_ip",
    "current",
    "data",
}
REQUESTS = [("GET", None), ("PATCH", {"name": "mine now"}), ("DELETE", None)]


def listed(phone: Phone) -> list[str]:
    return [device["id"] for device in phone.send("GET", "devices").json()]


def use_after_ten_minutes(phone: Phone, clock: Clock) -> Any:
    clock.forward(minutes=10)
    return phone.is_signed_in


@pytest.fixture
def of_bob(bob: User) -> Phone:
    return Phone("bob", {"name": "bob's", "installation_id": "bob's"}).sign_in()


def test_the_list_shows_public_fields_only(phone: Phone, tablet: Phone) -> None:
    response = phone.send("GET", "devices")
    devices = response.json()
    assert response.status_code == HTTPStatus.OK
    assert response.headers["Cache-Control"] == "no-store"
    assert {device["name"]: device["current"] for device in devices} == {
        "phone": True,
        "tablet": False,
    }
    assert [set(device) for device in devices] == [FIELDS, FIELDS]


@pytest.mark.parametrize("path", ["devices", "devices/{id}", "me", "devices/", "devices/{id}/"])
def test_no_answer_holds_what_the_database_keeps_secret(phone: Phone, path: str) -> None:
    phone.refresh()
    phone.call()
    answer = phone.send("GET", path.format(id=phone.session_id))
    session = DeviceSession.objects.get()
    text = answer.content.decode()
    assert answer.status_code == HTTPStatus.OK
    assert session.digest not in text
    assert session.refresh_digest not in text
    assert session.auth_hash not in text
    assert bytes(session.refresh_nonce).hex() not in text
    assert phone.refresh_token not in text


@pytest.mark.portable
def test_list_begins_with_the_device_used_last(clock: Clock, phone: Phone, tablet: Phone) -> None:
    clock.forward(minutes=2)
    phone.call()
    clock.forward(minutes=2)
    assert listed(tablet) == [tablet.session_id, phone.session_id]
    clock.forward(minutes=2)
    assert listed(phone) == [phone.session_id, tablet.session_id]


def test_the_use_of_an_access_token_shows_in_the_list(clock: Clock, phone: Phone) -> None:
    clock.forward(minutes=2)
    phone.call()
    assert phone.send("GET", "devices").json()[0]["last_used_at"] == "2026-01-05T12:02:00Z"


def test_the_use_of_an_access_token_shows_to_its_end(clock: Clock, phone: Phone) -> None:
    uses = [use_after_ten_minutes(phone, clock) for _ in range(5)]
    clock.forward(minutes=9)
    assert uses == [True] * 5
    assert phone.is_signed_in
    assert phone.send("GET", "devices").json()[0]["last_used_at"] == "2026-01-05T12:59:00Z"


def test_without_auto_refresh_use_shows_all_the_same(
    settings: Any, clock: Clock, phone: Phone
) -> None:
    settings.REST_KNOX = settings.REST_KNOX | {"AUTO_REFRESH": False}
    clock.forward(minutes=5)
    phone.call()
    assert phone.send("GET", "devices").json()[0]["last_used_at"] == "2026-01-05T12:05:00Z"


@pytest.mark.portable
def test_the_list_leaves_out_ended_sessions_and_those_of_others(
    phone: Phone, tablet: Phone, of_bob: Phone
) -> None:
    expired, outdated = Phone().sign_in(), Phone().sign_in()
    session = DeviceSession.objects.get(pk=expired.session_id)
    DeviceSession.objects.filter(pk=expired.session_id).update(idle_expires_at=session.created_at)
    DeviceSession.objects.filter(pk=outdated.session_id).update(auth_hash="an older password's")
    tablet.send("POST", "logout")
    assert listed(phone) == [phone.session_id]
    assert listed(of_bob) == [of_bob.session_id]


def test_detail_is_what_the_list_shows(phone: Phone, tablet: Phone) -> None:
    devices = phone.send("GET", "devices").json()
    details = [phone.send("GET", f"devices/{device['id']}").json() for device in devices]
    assert details == devices


@pytest.mark.portable
def test_rename_changes_the_name_and_nothing_else(phone: Phone, tablet: Phone) -> None:
    path = f"devices/{tablet.session_id}"
    before = phone.send("GET", path).json()
    response = phone.send("PATCH", path, {"name": " Sofa\u202e ", "id": 1})
    assert response.status_code == HTTPStatus.OK
    assert response.json() == before | {"name": "Sofa"}
    assert phone.send("GET", path).json() == before | {"name": "Sofa"}
    assert tablet.refresh().is_signed_in


@pytest.mark.parametrize("body", [None, {}, {"current": False}])
def test_a_change_of_nothing_changes_nothing(phone: Phone, body: Any) -> None:
    path = f"devices/{phone.session_id}"
    before = phone.send("GET", path)
    answer = phone.send("PATCH", path, body)
    assert (answer.status_code, answer.json()) == (HTTPStatus.OK, before.json())


@pytest.mark.parametrize(
    "body",
    [
        {"name": ""},
        {"name": "  "},
        {"name": "x" * 101},
        {"name": None},
        {"name": []},
        {"name": "\u202e"},
        {"name": "\0"},
    ],
)
def test_rename_to_what_is_no_name_is_refused(phone: Phone, body: Any) -> None:
    response = phone.send("PATCH", f"devices/{phone.session_id}", body)
    assert error_of(response) == (400, "invalid_request")
    assert set(response.json()["fields"]) == {"name"}
    assert DeviceSession.objects.get().name == "phone"


@pytest.mark.portable
def test_ending_a_device_ends_that_one(phone: Phone, tablet: Phone) -> None:
    response = phone.send("DELETE", f"devices/{tablet.session_id}")
    assert (response.status_code, response.content) == (204, b"")
    assert error_of(tablet.call()) == (401, "invalid_token")
    assert error_of(tablet.try_refresh()) == (400, "invalid_grant")
    assert phone.refresh().is_signed_in
    assert DeviceSession.objects.get(pk=tablet.session_id).revoked_reason == "ended_by_user"


def test_ending_the_present_device_signs_out(phone: Phone) -> None:
    assert phone.send("DELETE", f"devices/{phone.session_id}").status_code == HTTPStatus.NO_CONTENT
    assert not phone.is_signed_in


@pytest.mark.parametrize(("method", "body"), REQUESTS)
def test_a_device_of_another_user_is_not_found(
    phone: Phone, of_bob: Phone, method: str, body: Any
) -> None:
    forward = phone.send(method, f"devices/{of_bob.session_id}", body)
    backward = of_bob.send(method, f"devices/{phone.session_id}", body)
    unknown = phone.send(method, f"devices/{uuid.uuid4()}", body)
    assert forward.content == backward.content == unknown.content == NOT_FOUND
    assert {error_of(answer) for answer in (forward, backward)} == {(404, "not_found")}
    assert phone.refresh().is_signed_in
    assert of_bob.refresh().is_signed_in
    assert set(DeviceSession.objects.values_list("name", flat=True)) == {"phone", "bob's"}


@pytest.mark.parametrize(("method", "body"), REQUESTS)
@pytest.mark.parametrize("name", ["1", "null", "%00", "%ff", "..", "-" * 36, "x" * 5000, "é"])
def test_a_malformed_id_is_unknown(phone: Phone, name: str, method: str, body: Any) -> None:
    response = phone.send(method, f"devices/{name}", body)
    assert error_of(response) == (404, "not_found")
    assert response.content == NOT_FOUND
    assert phone.is_signed_in


@pytest.mark.parametrize(("method", "body"), REQUESTS)
def test_an_ended_device_is_unknown(phone: Phone, tablet: Phone, method: str, body: Any) -> None:
    tablet.send("POST", "logout")
    response = phone.send(method, f"devices/{tablet.session_id}", body)
    assert response.content == NOT_FOUND
    assert DeviceSession.objects.get(pk=tablet.session_id).revoked_reason == "signed_out"


@pytest.mark.parametrize(("method", "path"), [("GET", "devices"), ("DELETE", "devices/x")])
def test_without_a_token_nothing_is_shown(phone: Phone, method: str, path: str) -> None:
    assert error_of(Phone().send(method, path)) == (401, "unauthorized")
