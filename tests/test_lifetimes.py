"""A project may set lifetimes and the number of sessions by user and device."""

from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.exceptions import ImproperlyConfigured

from authx.models import DeviceSession
from authx.policy import lifetimes_of
from authx.sessions.values import Device
from tests.conftest import NOON, Clock
from tests.phone import Phone

pytestmark = pytest.mark.django_db

answer: Any = None


def told(_user: User, _device: Device) -> Any:
    return answer


def by_platform(user: User, device: Device) -> dict[str, Any]:
    short = {"refresh_token_ttl": timedelta(hours=1), "session_ttl": timedelta(hours=3)}
    return short if device.platform == "tv" or user.is_staff else {}


@pytest.fixture
def by_device(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"LIFETIMES": f"{__name__}.by_platform"}


def ends() -> tuple[timedelta, timedelta]:
    session = DeviceSession.objects.get()
    return session.idle_expires_at - NOON, session.absolute_expires_at - NOON


@pytest.mark.usefixtures("by_device")
def test_a_device_has_lifetimes_of_its_own(clock: Clock, alice: User) -> None:
    tv = Phone(device={"platform": "tv"}).sign_in()
    assert ends() == (timedelta(hours=1), timedelta(hours=3))
    assert tv.pair["refresh_token_expires_in"] == 3600
    clock.forward(minutes=30)
    tv.refresh()
    assert ends() == (timedelta(hours=1.5), timedelta(hours=3))


@pytest.mark.usefixtures("by_device")
def test_others_have_those_of_the_settings(clock: Clock, alice: User) -> None:
    Phone(device={"platform": "ios"}).sign_in()
    assert ends() == (timedelta(days=30), timedelta(days=180))


@pytest.mark.usefixtures("by_device")
def test_a_change_holds_from_the_next_refresh(clock: Clock, phone: Phone) -> None:
    User.objects.update(is_staff=True)
    assert ends() == (timedelta(days=30), timedelta(days=180))
    phone.refresh()
    assert ends() == (timedelta(hours=1), timedelta(days=180))


def test_the_number_of_sessions_may_differ(
    settings: Any, monkeypatch: pytest.MonkeyPatch, alice: User
) -> None:
    settings.AUTHX = settings.AUTHX | {"LIFETIMES": f"{__name__}.told"}
    monkeypatch.setattr(f"{__name__}.answer", {"session_limit": 2})
    for name in ("one", "two", "three"):
        Phone(device={"installation_id": name, "name": name}).sign_in()
    live = DeviceSession.objects.filter(revoked_at=None).values_list("name", flat=True)
    assert set(live) == {"two", "three"}


@pytest.mark.parametrize(
    "wrong",
    [
        {"ttl": timedelta(days=1)},
        {"session_ttl": 3600},
        {"session_ttl": timedelta(0)},
        {"session_ttl": timedelta(days=1)},  # Shorter than the refresh token's.
        {"session_limit": 0},
        {"session_limit": True},
    ],
)
def test_an_answer_that_makes_no_sense_is_an_error(
    settings: Any, monkeypatch: pytest.MonkeyPatch, wrong: dict[str, Any]
) -> None:
    settings.AUTHX = settings.AUTHX | {"LIFETIMES": f"{__name__}.told"}
    monkeypatch.setattr(f"{__name__}.answer", wrong)
    with pytest.raises(ImproperlyConfigured, match="LIFETIMES"):
        lifetimes_of(User(), Device())
