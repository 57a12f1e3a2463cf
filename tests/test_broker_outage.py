"""A broker that is away, or accepts and says nothing, delays no sign-in, and no mail for good."""

import socket
import time
from collections.abc import Iterator
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from backend.celery import app
from tasks.alerts import send_notifications
from tests.phone import Phone

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture(params=["nobody listens", "accepts and says nothing"])
def broken_broker(request: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Point Celery at a port that does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        if request.param == "nobody listens":
            server.close()
            port = 1
        else:
            port = server.getsockname()[1]
        # In what overrides the settings: set as attributes, they would stay there afterwards.
        overrides: Any = app.conf.changes
        for name in ("broker_write_url", "broker_url"):
            monkeypatch.setitem(overrides, name, f"redis://127.0.0.1:{port}/0")
        yield


@pytest.mark.usefixtures("broken_broker")
def test_a_sign_in_with_a_notification_does_not_wait_for_the_broker(
    alice: User, phone: Phone
) -> None:
    User.objects.update(email="alice@example.com")
    began = time.monotonic()
    Phone(device={"installation_id": "another"}).sign_in()
    assert time.monotonic() - began < 1
    # What beat starts as soon as the broker is back.
    send_notifications()
    assert [message.subject for message in mail.outbox] == ["Your account was used on a new device"]
