"""`data` of a session: stored by the device itself, bounded, and seen by no other device."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User

from authx import api
from authx.models import DeviceSession
from authx.sessions.own_data import MAX_DEPTH, MAX_DIGITS
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, error_of

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

DATA = {"push_token": "fcm:abc", "locale": "de", "topics": ["news", 1, 0.5, None, True]}
# With it, the object has exactly as many bytes as the default of the setting allows.
FULL = {"a": "ü" * ((2048 - len('{"a":""}')) // 2)}


def nested(levels: int) -> dict[str, Any]:
    data: dict[str, Any] = {}
    for _ in range(levels - 1):
        data = {"a": data}
    return data


REFUSED: dict[str, Any] = {
    "an array": ["fcm:abc"],
    "a string": "fcm:abc",
    "null": None,
    "NUL": {"a": "b\0c"},
    "NUL in a key": {"a\0": 1},
    "half a surrogate pair": {"a": "\ud83d"},
    "too deep": nested(MAX_DEPTH + 1),
    "too deep in lists": {"a": [[[[[]]]]]},
    "a long number": {"a": 10**MAX_DIGITS},
    "a number that PostgreSQL writes in full": {"a": 1e300},
    "a small number": {"a": 1e-300},
    "a byte too much": {**FULL, "b": 1},
}


def own(phone: Phone) -> Any:
    return phone.call().json()["device"]["data"]


def store(phone: Phone, data: Any) -> Any:
    return phone.send("PATCH", f"devices/{phone.session_id}", {"data": data})


@pytest.mark.parametrize("data", [DATA, {}, FULL, nested(MAX_DEPTH), {"": ""}])
def test_a_sign_in_stores_what_it_brings(alice: User, data: Any) -> None:
    phone = Phone(device={"name": "phone", "data": data}).sign_in()
    assert own(phone) == data
    assert phone.refresh().is_signed_in
    assert own(phone) == data
    assert DeviceSession.objects.get().data == data


def test_without_data_it_is_an_empty_object(phone: Phone) -> None:
    assert own(phone) == {}


@pytest.mark.parametrize("data", [DATA, {}, FULL])
def test_a_device_replaces_its_own(phone: Phone, data: Any) -> None:
    store(phone, {"old": 1})
    answer = store(phone, data)
    assert answer.status_code == HTTPStatus.OK
    assert answer.json()["data"] == data
    assert (answer.json()["name"], own(phone)) == ("phone", data)


def test_name_and_data_change_together(phone: Phone) -> None:
    answer = phone.send("PATCH", f"devices/{phone.session_id}", {"name": "mine", "data": DATA})
    assert (answer.json()["name"], answer.json()["data"]) == ("mine", DATA)
    phone.send("PATCH", f"devices/{phone.session_id}", {"name": "yours"})
    assert own(phone) == DATA


@pytest.mark.parametrize("data", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_stored_is_refused(phone: Phone, data: Any) -> None:
    store(phone, {"old": 1})
    answer = phone.send("PATCH", f"devices/{phone.session_id}", {"data": data, "name": "new"})
    assert error_of(answer) == (400, "invalid_request")
    assert set(answer.json()["fields"]) == {"data"}
    device = phone.call().json()["device"]
    assert (device["data"], device["name"]) == ({"old": 1}, "phone")
    refused = Phone(device={"data": data}).try_sign_in()
    assert error_of(refused) == (400, "invalid_request")
    assert DeviceSession.objects.count() == 1


@pytest.mark.parametrize("text", ["1e400", "-1e400", "NaN", "Infinity", '"\\ud83d\\u0000"'])
def test_json_that_is_none_is_refused(phone: Phone, text: str) -> None:
    headers = {"authorization": f"Bearer {phone.access_token}"}
    answer = phone.client.generic(
        "PATCH",
        f"/users/devices/{phone.session_id}",
        f'{{"data": {{"a": {text}}}}}',
        content_type="application/json",
        headers=headers,
    )
    assert error_of(answer) == (400, "invalid_request")
    assert own(phone) == {}


def test_a_form_has_no_data(alice: User) -> None:
    body = f"username=alice&password={PASSWORD}&device.name=a"
    form = "application/x-www-form-urlencoded"
    assert Phone().client.post("/users/login", body, content_type=form).status_code == HTTPStatus.OK
    answer = Phone().client.post("/users/login", f"{body}&device.data=b", content_type=form)
    assert error_of(answer) == (400, "invalid_request")


def test_the_limit_is_a_setting(phone: Phone, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"MAX_SESSION_DATA_BYTES": 10}
    assert store(phone, {"a": "1234"}).status_code == HTTPStatus.BAD_REQUEST
    assert store(phone, {"a": "12"}).status_code == HTTPStatus.OK


def test_no_other_device_reads_or_writes_it(phone: Phone, tablet: Phone) -> None:
    store(phone, DATA)
    path = f"devices/{phone.session_id}"
    assert tablet.send("GET", path).json()["data"] is None
    listed = {one["name"]: one["data"] for one in tablet.send("GET", "devices").json()}
    assert listed == {"phone": None, "tablet": {}}
    refused = tablet.send("PATCH", path, {"data": {"mine": 1}, "name": "mine"})
    assert error_of(refused) == (HTTPStatus.FORBIDDEN, "forbidden")
    assert tablet.send("PATCH", path, {"name": "sofa"}).json()["data"] is None
    assert (own(phone), phone.call().json()["device"]["name"]) == (DATA, "sofa")


def test_somebody_elses_device_does_not_exist(phone: Phone, bob: User) -> None:
    of_bob = Phone("bob").sign_in()
    answer = of_bob.send("PATCH", f"devices/{phone.session_id}", {"data": DATA})
    assert error_of(answer) == (404, "not_found")
    assert own(phone) == {}


def test_it_is_in_no_pair_and_no_event(phone: Phone) -> None:
    store(phone, DATA)
    answers = [phone.try_refresh(), phone.send("GET", "activity")]
    assert [answer.status_code for answer in answers] == [200, 200]
    assert not any("fcm:abc" in answer.content.decode() for answer in answers)


def test_a_new_password_keeps_it_on_this_device(phone: Phone) -> None:
    store(phone, DATA)
    change = {"current_password": PASSWORD, "new_password": "tomato xylophone"}
    renewed = Phone(pair=phone.send("POST", "password", change).json())
    assert own(renewed) == DATA


def test_a_new_password_keeps_what_a_lower_limit_would_refuse(phone: Phone, settings: Any) -> None:
    store(phone, DATA)
    settings.AUTHX = settings.AUTHX | {"MAX_SESSION_DATA_BYTES": 2}
    change = {"current_password": PASSWORD, "new_password": "tomato xylophone"}
    assert own(Phone(pair=phone.send("POST", "password", change).json())) == DATA


def test_a_new_sign_in_of_the_same_installation_brings_its_own(phone: Phone) -> None:
    store(phone, DATA)
    assert own(Phone(device=phone.device).sign_in()) == {}


def test_it_goes_with_the_session(clock: Clock, alice: User) -> None:
    phone = Phone(device={"data": DATA}).sign_in()
    phone.send("POST", "logout")
    clock.forward(days=7)
    api.sweep()
    assert not DeviceSession.objects.exists()


# --- From the code of a project


def test_a_project_stores_it_too(alice: User) -> None:
    session = api.open_session(user=alice, device=api.Device(data=DATA)).session
    assert api.sessions_of(alice).get().data == DATA
    api.update_device(session=session, data={"locale": "fr"})
    assert session.data == {"locale": "fr"}
    api.update_device(session=session, name="mine")
    api.update_device(session=session)
    stored = api.sessions_of(alice).get()
    assert (stored.data, stored.name) == ({"locale": "fr"}, "mine")


OF_CODE = [{"a": object()}, {"a": (1,)}, {1: "a"}, {("a",): 1}, {"a": float("nan")}]


@pytest.mark.parametrize("data", [*OF_CODE, *(one for one in REFUSED.values() if one is not None)])
def test_a_project_that_stores_something_else_is_told(alice: User, data: Any) -> None:
    with pytest.raises(ValueError, match=r"\w"):
        api.open_session(user=alice, device=api.Device(data=data))
    assert not DeviceSession.objects.exists()
    session = api.open_session(user=alice).session
    with pytest.raises(ValueError, match=r"\w"):
        api.update_device(session=session, data=data)
    assert DeviceSession.objects.get().data == {}


def test_it_is_in_no_printed_form(alice: User) -> None:
    device = api.Device(data=DATA)
    pair = api.open_session(user=alice, device=device)
    ended = api.EndedSession(pair.session.pk, alice.pk, pair.session.data)
    assert "fcm:abc" not in "".join(map(repr, (device, pair, ended)))
    assert hash(device) == hash(api.Device())
