"""What an operation may cost in SQL statements, however many sessions there are."""

from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db.models.signals import post_init
from django.test import RequestFactory
from django.utils import timezone
from redis import Connection
from rest_framework.request import Request

from authx.models import DeviceSession
from authx.rest.authentication import TokenAuthentication
from authx.sessions.sweep import sweep
from tests.conftest import Clock, Statements
from tests.effort import rounds
from tests.phone import Phone

# Budgets are counted where production runs.
pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

Measure = Callable[[], Statements]


@pytest.fixture(params=[0, rounds(30, 1000)], ids=["alone", "beside many sessions"])
def crowd(request: Any, clock: Clock, alice: User, settings: Any) -> None:
    """Give Alice so many other live sessions."""
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 5000}
    now = timezone.now()
    ends = now + timedelta(days=30)
    hashed = alice.get_session_auth_hash()
    DeviceSession.objects.bulk_create(
        DeviceSession(
            user=alice,
            digest=f"digest {number}",
            expiry=now,
            access_nonce=b"",
            refresh_digest=f"refresh digest {number}",
            auth_hash=hashed,
            idle_expires_at=ends,
            absolute_expires_at=ends,
        )
        for number in range(request.param)
    )


@pytest.mark.usefixtures("crowd")
def test_a_request_costs_one_statement(phone: Phone, statements: Measure) -> None:
    with statements() as cost:
        assert phone.is_signed_in
    assert cost.with_transactions == 1


@pytest.mark.usefixtures("crowd")
def test_a_request_that_confirms_costs_one_more(phone: Phone, statements: Measure) -> None:
    phone.refresh()
    with statements() as cost:
        assert phone.is_signed_in
    assert cost.with_transactions == 2
    with statements() as cost:
        assert phone.is_signed_in
    assert cost.with_transactions == 1


@pytest.mark.usefixtures("crowd")
def test_a_request_that_renews_costs_one_more(
    clock: Clock, phone: Phone, statements: Measure
) -> None:
    clock.forward(seconds=61)
    with statements() as cost:
        assert phone.is_signed_in
    assert cost.with_transactions == 2


def test_a_request_that_confirms_and_renews_costs_one_more_for_both(
    clock: Clock, phone: Phone, statements: Measure
) -> None:
    phone.refresh()
    clock.forward(seconds=61)
    with statements() as cost:
        assert phone.is_signed_in
    assert cost.with_transactions == 2


@pytest.mark.usefixtures("crowd")
def test_a_request_loads_no_other_row_of_the_user(phone: Phone, statements: Measure) -> None:
    loaded = []

    def count(sender: Any, **_: Any) -> None:
        loaded.append(sender)

    post_init.connect(count, sender=DeviceSession)
    try:
        assert phone.is_signed_in
    finally:
        post_init.disconnect(count, sender=DeviceSession)
    assert len(loaded) == 1


@pytest.mark.usefixtures("crowd")
def test_a_refresh_costs_a_read_and_a_write_and_no_transaction(
    phone: Phone, statements: Measure
) -> None:
    with statements() as cost:
        phone.refresh()
    assert cost.with_transactions == 2
    assert [sql[:6] for sql in cost.sql] == ["SELECT", "UPDATE"]


@pytest.mark.usefixtures("crowd")
def test_a_retry_costs_one_read_and_a_wait_for_the_standby(
    phone: Phone, statements: Measure
) -> None:
    phone.try_refresh()
    with statements() as cost:
        phone.refresh()
    assert (cost.with_transactions, cost.writes) == (2, [])


@pytest.mark.usefixtures("crowd")
def test_a_retry_that_needs_a_fresh_access_token_costs_no_more(
    clock: Clock, phone: Phone, statements: Measure
) -> None:
    phone.try_refresh()
    clock.forward(days=1)
    with statements() as cost:
        phone.refresh()
    assert cost.with_transactions == 2


@pytest.mark.usefixtures("crowd")
def test_a_reuse_costs_two_statements_beside_its_transaction_event_and_notification(
    clock: Clock, phone: Phone, statements: Measure
) -> None:
    stolen = phone.refresh_token
    phone.refresh().refresh()
    clock.forward(seconds=10)
    with statements() as cost:
        phone.try_refresh(stolen)
    assert cost.with_transactions == 2 + 2 + 2


@pytest.mark.usefixtures("crowd")
def test_a_login_costs_eight_statements_beside_the_password_check(
    phone: Phone, statements: Measure
) -> None:
    with statements() as cost:
        Phone(device={"name": "another"}).sign_in()
    # The account, a failure counted before the check, then forgotten.
    password_check = [
        sql for sql in cost.sql if '"username" = ' in sql or "passwordfailures" in sql
    ]
    assert len(password_check) == 3
    # It is a new device: the notice is one more.
    notice = [sql for sql in cost.sql if "authx_notification" in sql]
    assert cost.with_transactions - len(password_check) - len(notice) <= 8


@pytest.mark.usefixtures("crowd")
def test_a_login_that_replaces_a_session_costs_two_more(phone: Phone, statements: Measure) -> None:
    with statements() as cost:
        phone.sign_in()
    password_check = [
        sql for sql in cost.sql if '"username" = ' in sql or "passwordfailures" in sql
    ]
    # Whether the account knows the device, which has a rate limit of its own; the revocation.
    assert cost.with_transactions - len(password_check) <= 8 + 2


@pytest.fixture
def trips() -> Iterator[mock.Mock]:
    """Count what is sent to Redis."""
    send = Connection.send_packed_command
    with mock.patch.object(
        Connection, "send_packed_command", autospec=True, side_effect=send
    ) as sent:
        yield sent


def test_a_request_asks_the_store_of_the_limits_once(phone: Phone, trips: mock.Mock) -> None:
    trips.reset_mock()
    assert phone.is_signed_in
    assert trips.call_count == 1


def test_a_view_of_the_project_itself_never_asks_it(phone: Phone, trips: mock.Mock) -> None:
    trips.reset_mock()
    request = RequestFactory().get("/", HTTP_AUTHORIZATION=f"Bearer {phone.access_token}")
    assert TokenAuthentication().authenticate(Request(request)) is not None
    assert trips.call_count == 0


def test_a_new_device_costs_its_notice_and_a_known_one_its_proof(
    phone: Phone, statements: Measure
) -> None:
    with statements() as known:
        phone.sign_in()
    with statements() as new:
        Phone(device={"installation_id": "another"}).sign_in()
    # It proves nothing, has no session to replace, and a mail to leave.
    assert [sql for sql in new.sql if "authx_notification" in sql]
    assert len(new) == len(known) - 2 + 1


# Of a known name, the failure is counted and recorded, and the event asks whether the password is
# locked by it; an unknown name costs as much, and leaves nothing.
@pytest.mark.parametrize(("name", "counted", "erased"), [("alice", 2, 0), ("nobody", 1, 1)])
def test_a_failed_login_costs_two_reads_and_three_statements_of_its_count_and_event(
    phone: Phone, statements: Measure, name: str, counted: int, erased: int
) -> None:
    with statements() as cost:
        Phone(name).try_sign_in("wrong password")
    assert len([sql for sql in cost.sql if "passwordfailures" in sql]) == counted
    assert len([sql for sql in cost.sql if 'INSERT INTO "authx_securityevent' in sql]) == 1
    assert len([sql for sql in cost.sql if 'DELETE FROM "authx_securityevent' in sql]) == erased
    assert len(cost) == 5


@pytest.mark.usefixtures("crowd")
@pytest.mark.parametrize(
    ("method", "path", "body", "most"),
    [
        ("POST", "logout", None, 5),
        ("POST", "logout-all", {}, 6),
        ("GET", "devices", None, 2),
        ("GET", "activity", None, 2),
    ],
)
def test_an_endpoint_keeps_to_its_budget(  # noqa: PLR0913, PLR0917 -- a table
    phone: Phone, statements: Measure, method: str, path: str, body: Any, most: int
) -> None:
    with statements() as cost:
        assert phone.send(method, path, body).status_code < 300
    assert cost.with_transactions <= most


@pytest.mark.usefixtures("crowd")
def test_a_revocation_by_token_costs_at_most_five(phone: Phone, statements: Measure) -> None:
    body = {"token": phone.refresh_token}
    with statements() as cost:
        phone.client.post("/users/revoke", body, content_type="application/json")
    assert cost.with_transactions <= 5


def test_a_sweep_costs_one_statement_a_batch(
    clock: Clock,
    phone: Phone,
    statements: Measure,
    settings: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": 2}
    # However slow this machine is, the next batch may be larger.
    monkeypatch.setattr("authx.sessions.sweep.BATCH_SECONDS", 60)
    for _ in range(5):
        Phone(device={}).sign_in()
    clock.forward(days=40)
    with statements() as cost:
        sweep()
    of_sessions = [sql for sql in cost.sql if "authx_devicesession" in sql]
    # Six sessions: two, then what is left in a batch that grew.
    assert len(of_sessions) == 2
    assert len([sql for sql in cost.sql if "sweeplease" not in sql]) == 2 + 2


@pytest.mark.no_cover
def test_many_refreshes_of_one_device_leave_no_more_rows_than_one(
    clock: Clock, phone: Phone
) -> None:
    number = rounds(100, 1000)
    for _ in range(number):
        clock.forward(minutes=10)
        phone.refresh()
    session = DeviceSession.objects.get()
    assert (session.generation, len(bytes(session.recent))) == (number, 88)
