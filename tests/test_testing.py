"""What `authx.testing` promises to the tests of a project."""

import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import timedelta
from http import HTTPStatus
from typing import Any

import httpx
import pytest
import time_machine
from django.contrib.auth.models import User
from django.core.signals import request_finished
from django.db import close_old_connections, connection
from django.db.models import Value
from django.db.models.functions import Now
from django.test import Client, TestCase
from django.test.utils import _TestState
from django.utils import timezone
from rest_framework.test import APIClient

from authx import clock as shared_clock
from authx.errors import RateLimitError
from authx.models import DeviceSession
from authx.testing import (
    DeviceClient,
    LostAnswerError,
    count_separately,
    expire_access_token,
    expire_refresh_token,
    expire_session,
    follow_python_clock,
    new_pair,
    without_rate_limits,
)
from authx.testing.httpx_client import DeviceHTTPXClient
from authx.testing.pytest_plugin import (
    _authx_counts_separately,
    authx_python_clock,
    authx_without_rate_limits,
    device_client,
)
from authx.throttling import limits
from tests.conftest import Clock
from tests.phone import PASSWORD

# Fixtures, as a project gets them from the plugin.
__all__ = [
    "_authx_counts_separately",
    "authx_python_clock",
    "authx_without_rate_limits",
    "device_client",
]

pytestmark = pytest.mark.django_db

MakeDevice = Callable[[User], DeviceClient | DeviceHTTPXClient]
TWICE = ["2/minute"]


@pytest.fixture(params=[DeviceClient, DeviceHTTPXClient])
def device(request: pytest.FixtureRequest, alice: User) -> DeviceClient | DeviceHTTPXClient:
    """Return a signed-in device, by each way there is."""
    make: MakeDevice = request.param
    return make(alice)


def status_of(device: Any) -> int:
    status: int = device.get("/users/me").status_code
    return status


def test_a_device_is_signed_in_by_one_line(device: Any) -> None:
    me = device.get("/users/me").json()
    assert (me["username"], me["device"]["id"]) == ("alice", str(device.device_session.pk))
    assert device.post("/users/logout").status_code == HTTPStatus.NO_CONTENT
    assert status_of(device) == HTTPStatus.UNAUTHORIZED
    assert device.device_session.revoked_reason == "signed_out"


@pytest.mark.django_db(transaction=True)
def test_a_device_sends_its_requests_to_a_live_server(alice: User, live_server: Any) -> None:
    with DeviceHTTPXClient(alice, base_url=live_server.url) as device:
        assert device.get("/users/me").json()["username"] == "alice"
        expire_access_token(device.device_session)
        assert status_of(device) == HTTPStatus.UNAUTHORIZED
        before = device.pair
        with device.lost_answer():
            device.refresh()
        assert device.pair == before
        assert device.device_session.generation == 1
        assert device.refresh().json()["generation"] == 1
        assert status_of(device) == HTTPStatus.OK


def test_requests_into_the_project_keep_the_transaction_of_the_test(device: Any) -> None:
    for path in ("/users/me", "/users/devices", "/users/unknown"):
        device.get(path)
    assert connection.in_atomic_block
    assert device.device_session.is_live(timezone.now())
    assert close_old_connections in [receiver() for _, receiver, *_ in request_finished.receivers]


def test_a_device_can_be_described_and_can_sign_in_later(alice: User) -> None:
    for device in (DeviceHTTPXClient(), DeviceClient()):
        assert status_of(device) == HTTPStatus.UNAUTHORIZED
    device.sign_in(alice, name="Watch", platform="watchos")
    assert device.get("/users/me").json()["device"]["name"] == "Watch"
    assert new_pair(alice, name="Car")["device"]["name"] == "Car"


def test_a_device_stores_the_pair_that_a_response_brings(alice: User) -> None:
    device = DeviceClient()
    login = {"username": "alice", "password": PASSWORD}
    device.store(device.post("/users/login", login, format="json").json())
    assert status_of(device) == HTTPStatus.OK


def test_a_device_that_is_not_signed_in_says_so() -> None:
    with pytest.raises(AssertionError, match="not signed in"):
        DeviceClient().refresh()


def test_a_device_refreshes_and_stores_the_pair(device: Any) -> None:
    before = device.pair
    response = device.refresh()
    assert response.status_code == HTTPStatus.OK
    assert device.pair == response.json() != before
    assert device.device_session.generation == 1
    assert status_of(device) == HTTPStatus.OK


def test_an_access_token_expires_at_once_and_a_refresh_replaces_it(device: Any) -> None:
    expire_access_token(device.device_session)
    assert status_of(device) == HTTPStatus.UNAUTHORIZED
    assert device.refresh().status_code == HTTPStatus.OK
    assert status_of(device) == HTTPStatus.OK


@pytest.mark.parametrize("expire", [expire_refresh_token, expire_session])
def test_a_refresh_token_and_a_session_expire_at_once(device: Any, expire: Any) -> None:
    session, before = device.device_session, device.pair
    expire(session)
    assert status_of(device) == HTTPStatus.UNAUTHORIZED
    refusal = device.refresh()
    assert (refusal.status_code, refusal.json()["error"]) == (400, "invalid_grant")
    assert device.pair == before
    session.refresh_from_db()
    has_reached_its_end = session.absolute_expires_at <= timezone.now()
    assert has_reached_its_end == (expire is expire_session)


def test_only_the_named_session_expires(alice: User) -> None:
    phone, tablet = DeviceClient(alice), DeviceClient(alice)
    expire_session(phone.device_session)
    assert (status_of(phone), status_of(tablet)) == (HTTPStatus.UNAUTHORIZED, HTTPStatus.OK)


def test_a_lost_answer_leaves_the_server_ahead_and_the_device_with_its_old_pair(
    device: Any,
) -> None:
    before = device.pair
    with device.lost_answer():
        device.refresh()
    assert device.pair == before
    assert device.device_session.generation == 1
    assert device.refresh().json()["generation"] == 1


def test_an_app_sees_a_lost_answer_as_a_failed_connection(device: Any) -> None:
    error = httpx.TransportError if isinstance(device, DeviceHTTPXClient) else ConnectionError
    with device.lost_answer(), pytest.raises(error):
        device.get("/users/me")
    assert status_of(device) == HTTPStatus.OK


def test_an_answer_that_was_not_asked_for_is_not_lost(alice: User) -> None:
    device = DeviceClient(alice)
    with pytest.raises(AssertionError, match="No request"), device.lost_answer():
        pass
    assert status_of(device) == HTTPStatus.OK


def test_an_error_before_the_request_is_not_swallowed(alice: User) -> None:
    device = DeviceClient(alice)
    with pytest.raises(LostAnswerError), device.lost_answer():
        raise LostAnswerError
    assert status_of(device) == HTTPStatus.OK


def current_store() -> Any:
    return vars(limits)["store"]()


def sign_in_statuses(count: int) -> list[int]:
    login = {"username": "alice", "password": PASSWORD}
    client = APIClient()
    answers = [client.post("/users/login", login, format="json") for _ in range(count)]
    return [answer.status_code for answer in answers]


@pytest.fixture
def tight_limits(settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES_PER_IP": TWICE}


def test_nothing_is_counted_or_refused_without_rate_limits(alice: User, tight_limits: None) -> None:
    with without_rate_limits():
        assert sign_in_statuses(4) == [200] * 4
        APIClient().post("/users/token", {"refresh_token": "forged"})
    assert sign_in_statuses(3) == [200, 200, 429]


def test_attempts_count_for_a_block_only(alice: User, tight_limits: None) -> None:
    outside = current_store()
    for _ in range(2):
        with count_separately():
            assert sign_in_statuses(3) == [200, 200, 429]
    assert current_store() is outside
    assert sign_in_statuses(2) == [200, 200]


def test_an_error_in_a_block_switches_the_limits_on_again(alice: User, tight_limits: None) -> None:
    with pytest.raises(KeyError), without_rate_limits():
        raise KeyError
    assert sign_in_statuses(3) == [200, 200, 429]


@pytest.mark.parametrize("number", [1, 2])
def test_the_plugin_counts_each_test_separately(
    alice: User, tight_limits: None, number: int
) -> None:
    assert sign_in_statuses(3) == [200, 200, 429]


def test_a_fixture_switches_the_limits_off(
    alice: User, tight_limits: None, authx_without_rate_limits: None
) -> None:
    assert sign_in_statuses(4) == [200] * 4


def test_a_fixture_makes_signed_in_devices(device_client: Any, alice: User, bob: User) -> None:
    phones = [device_client(user) for user in (alice, bob)]
    assert [phone.get("/users/me").json()["username"] for phone in phones] == ["alice", "bob"]


def test_a_fixture_lets_the_clock_follow_python(
    authx_python_clock: None, alice: User, clock: Clock
) -> None:
    device = DeviceClient(alice)
    clock.forward(hours=2)
    assert status_of(device) == HTTPStatus.UNAUTHORIZED


def use(context: AbstractContextManager[None]) -> None:
    with context:
        pass


@pytest.mark.parametrize(
    "helper",
    [
        lambda _: use(without_rate_limits()),
        lambda _: use(count_separately()),
        lambda _: use(follow_python_clock()),
        new_pair,
        DeviceClient,
        lambda _: expire_session(DeviceSession.objects.get()),
    ],
)
def test_no_helper_works_outside_of_tests(
    alice: User, helper: Callable[[User], Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    new_pair(alice)
    outside = current_store()
    monkeypatch.delattr(_TestState, "saved_data")
    with pytest.raises(RuntimeError, match="in tests only"):
        helper(alice)
    assert current_store() is outside
    assert DeviceSession.objects.get().is_live(timezone.now())


def test_the_clock_of_authx_follows_that_of_python(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    # As it is without the fixture of our own tests.
    monkeypatch.setattr(shared_clock, "database_now", Now)
    monkeypatch.setattr(shared_clock, "read_at", lambda row: vars(row)["read_at"])
    device = DeviceClient(alice)
    with time_machine.travel(timezone.now() + timedelta(hours=2)):
        assert status_of(device) == HTTPStatus.OK
        with follow_python_clock():
            assert isinstance(shared_clock.database_now(), Value)
            assert status_of(device) == HTTPStatus.UNAUTHORIZED
            assert device.refresh().status_code == HTTPStatus.OK


def test_force_authenticate_of_drf_reaches_what_needs_no_session(alice: User) -> None:
    client = APIClient()
    client.force_authenticate(alice)
    response = client.get("/users/me")
    assert (response.status_code, response.json()["error"]) == (401, "unauthorized")


def test_force_authenticate_of_a_device_brings_a_session(alice: User, bob: User) -> None:
    device = DeviceClient(bob)
    device.force_authenticate(alice)
    assert device.get("/users/me").json()["username"] == "alice"
    assert device.get("/users/devices").json()[0]["current"] is True
    device.force_authenticate(bob, token=DeviceClient(bob).device_session)
    assert device.get("/users/me").json()["username"] == "bob"
    # As with DRF, nothing of what was signed in remains.
    device.force_authenticate()
    assert (status_of(device), device.pair) == (HTTPStatus.UNAUTHORIZED, None)


def test_login_of_a_test_client_signs_in_to_pages_and_not_to_the_api(alice: User) -> None:
    User.objects.update(is_staff=True)
    for client in (Client(), DeviceClient()):
        assert client.login(username="alice", password=PASSWORD)
        assert not client.login(username="alice", password="wrong")
        client.force_login(alice)
        assert client.get("/admin/").status_code == HTTPStatus.OK
        assert client.get("/users/me").status_code == HTTPStatus.UNAUTHORIZED


def test_wrong_passwords_of_a_test_client_count_unless_limits_are_off(alice: User) -> None:
    client = Client()
    for _ in range(5):
        assert not client.login(username="alice", password="wrong")
    with pytest.raises(RateLimitError):
        client.login(username="alice", password=PASSWORD)
    with without_rate_limits():
        assert not client.login(username="alice", password="wrong")
        assert client.login(username="alice", password=PASSWORD)


def test_a_device_is_signed_in_to_pages_and_to_the_api_at_once(alice: User) -> None:
    User.objects.update(is_staff=True)
    device = DeviceClient(alice)
    device.force_login(alice)
    assert device.get("/admin/").status_code == HTTPStatus.OK
    assert status_of(device) == HTTPStatus.OK


class InDjangosTestCase(TestCase):
    """The helpers in the words of unittest."""

    client_class = DeviceClient
    client: DeviceClient

    def setUp(self) -> None:
        self.enterContext(count_separately())
        self.client.sign_in(User.objects.create_user("alice", password=PASSWORD))

    def test_the_client_of_a_test_case_is_a_device(self) -> None:
        with self.client.lost_answer():
            self.client.refresh()
        expire_access_token(self.client.device_session)
        assert self.client.refresh().status_code == HTTPStatus.OK
        assert status_of(self.client) == HTTPStatus.OK


def test_the_plain_helpers_need_neither_pytest_nor_httpx() -> None:
    code = """
import sys
sys.modules["pytest"] = sys.modules["httpx"] = None
import django
django.setup()
import authx.testing
"""
    environment = {"DJANGO_SETTINGS_MODULE": "backend.settings", "PATH": ""}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        env=environment,
        check=False,
        capture_output=True,
        text=True,
    )
    assert ran.returncode == 0, ran.stderr
