"""The id of a device session has one name in the API: `id` of a device, and flat `device_id`."""

from base64 import b64encode

import pytest

from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import create_service
from authx.models import DeviceSession
from tests.phone import Phone

pytestmark = pytest.mark.django_db


def test_every_response_names_the_device_by_the_same_id(phone: Phone) -> None:
    service = Service(name="gateway")
    create_service(service=service)
    credential = b64encode(f"{service.pk}:{service.raw_secret}".encode()).decode()
    device_id = phone.pair["device"]["id"]
    me = phone.send("GET", "me").json()
    (device,) = phone.send("GET", "devices").json()
    introspected = phone.client.post(
        "/users/introspect",
        {"token": phone.access_token},
        content_type="application/json",
        headers={"authorization": f"Basic {credential}"},
    ).json()
    assert me["device"]["id"] == device["id"] == introspected["device_id"] == device_id
    assert phone.send("GET", f"devices/{device_id}").json() == device
    assert str(DeviceSession.objects.get().pk) == device_id
    # The words of the database row are for operators.
    assert "session" not in me
    assert {"session_id", "sid"}.isdisjoint(introspected)
