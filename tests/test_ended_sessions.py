"""`sessions_revoked` says enough to close sockets and to drop push tokens, for every end."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from unittest import mock
from uuid import UUID

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import OperationalError, connection

from authx import api
from authx.models import DeviceSession, SecurityEvent
from authx.sessions import ends
from authx.sessions.revoke import revoke_all_users
from tests.failing_database import fail_every_statement
from tests.phone import PASSWORD, Phone

pytestmark = [pytest.mark.django_db, pytest.mark.portable]

Committed = Callable[[], AbstractContextManager[Any]]


@pytest.fixture
def listener() -> Iterator[mock.Mock]:
    listener = mock.Mock(__qualname__="listener")
    api.sessions_revoked.connect(listener, weak=False)
    yield listener
    api.sessions_revoked.disconnect(listener)


def told(listener: mock.Mock) -> list[dict[str, Any]]:
    return [dict(call.kwargs) for call in listener.mock_calls]


def with_token(name: str, username: str = "alice") -> Phone:
    device = {"installation_id": name, "data": {"push_token": name}}
    return Phone(username, device).sign_in()


def logout(phone: Phone) -> None:
    phone.send("POST", "logout")


def logout_all(phone: Phone) -> None:
    phone.send("POST", "logout-all")


def end_in_the_list(phone: Phone) -> None:
    phone.send("DELETE", f"devices/{phone.session_id}")


def revoke_token(phone: Phone) -> None:
    phone.send("POST", "revoke", {"token": phone.refresh_token})


def sign_in_again(phone: Phone) -> None:
    Phone(device={"installation_id": "phone"}).sign_in()


def change_password(phone: Phone) -> None:
    change = {"current_password": PASSWORD, "new_password": "tomato xylophone"}
    assert phone.send("POST", "password", change).status_code == 200


def deactivate(phone: Phone) -> None:
    user = User.objects.get(username="alice")
    user.is_active = False
    user.save()


def delete(phone: Phone) -> None:
    User.objects.get(username="alice").delete()


def end_for_all_users(phone: Phone) -> None:
    call_command("revoke_sessions", "--all")


ENDS = [
    logout,
    logout_all,
    end_in_the_list,
    revoke_token,
    sign_in_again,
    change_password,
    deactivate,
    end_for_all_users,
]


@pytest.mark.parametrize("end", ENDS)
def test_every_end_tells_ids_user_and_data(
    alice: User, listener: mock.Mock, committed: Committed, end: Callable[[Phone], None]
) -> None:
    phone = with_token("phone")
    with committed():
        end(phone)
    (one,) = told(listener)
    session_id = UUID(phone.session_id)
    assert (one["session_ids"], one["count"]) == ([session_id], 1)
    assert one["sessions"] == [api.EndedSession(session_id, alice.pk, {"push_token": "phone"})]


def test_a_deleted_user_is_told_before_the_rows_are_gone(
    alice: User, listener: mock.Mock, committed: Committed
) -> None:
    phone, user_id = with_token("phone"), alice.pk
    with committed():
        delete(phone)
    (one,) = told(listener)
    assert one["sessions"] == [
        api.EndedSession(UUID(phone.session_id), user_id, {"push_token": "phone"})
    ]


def test_replaced_and_evicted_are_told_apart(
    alice: User, listener: mock.Mock, committed: Committed, settings: Any
) -> None:
    phones = [with_token(name) for name in ("first", "second", "third")]
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 2}
    with committed():
        with_token("third")
    ids = {one["reason"]: one["session_ids"] for one in told(listener)}
    assert ids == {
        "replaced": [UUID(phones[2].session_id)],
        "evicted": [UUID(phones[0].session_id)],
    }


def test_an_end_is_told_before_the_session_that_replaces_it(
    alice: User, listener: mock.Mock, committed: Committed
) -> None:
    # A push token that the new session brings again stays registered.
    with_token("phone")
    opened = mock.Mock(__qualname__="opened")
    order = mock.Mock()
    order.attach_mock(listener, "revoked")
    order.attach_mock(opened, "opened")
    api.session_opened.connect(opened, weak=False)
    try:
        with committed():
            with_token("phone")
    finally:
        api.session_opened.disconnect(opened)
    assert [name for name, _, _ in order.mock_calls] == ["revoked", "opened"]


def test_all_users_are_told_in_parts(
    alice: User, bob: User, listener: mock.Mock, committed: Committed, monkeypatch: Any
) -> None:
    monkeypatch.setattr(ends, "PART", 2)
    phones = [with_token(f"phone {n}") for n in range(3)]
    ended_before = with_token("before")
    logout(ended_before)
    phones += [with_token("of bob", "bob")]
    phones += [with_token("another of bob", "bob")]
    with committed():
        assert revoke_all_users(reason=api.EventKind.ENDED_BY_OPERATOR) == 5
    parts = told(listener)
    assert [len(part["session_ids"]) for part in parts] == [2, 2, 1]
    assert [(part["user_id"], part["everywhere"], part["count"]) for part in parts] == [
        (None, True, 2),
        (None, True, 2),
        (None, True, 1),
    ]
    sessions = [session for part in parts for session in part["sessions"]]
    assert {str(session.id) for session in sessions} == {phone.session_id for phone in phones}
    assert {session.data["push_token"]: session.user_id for session in sessions} == {
        **{f"phone {n}": alice.pk for n in range(3)},
        "of bob": bob.pk,
        "another of bob": bob.pk,
    }
    assert SecurityEvent.objects.filter(kind="ended_by_operator").count() == 1


@pytest.mark.usefixtures("phone")
@pytest.mark.parametrize(("hears", "reads"), [(True, 2), (False, 1)])
def test_without_a_receiver_nothing_is_read_again(
    statements: Any, committed: Committed, monkeypatch: Any, hears: bool, reads: int
) -> None:
    # In these tests, the metrics of authx receive it.
    monkeypatch.setattr(api.sessions_revoked, "has_listeners", lambda _: hears)
    with statements() as cost, committed():
        revoke_all_users(reason=api.EventKind.ENDED_BY_OPERATOR)
    # The time of the database is the other one.
    assert len([sql for sql in cost.sql if "authx_devicesession" in sql]) == reads + 1


@pytest.mark.usefixtures("phone")
def test_an_outage_after_the_end_fails_nothing(listener: mock.Mock, committed: Committed) -> None:
    refuse = fail_every_statement(OperationalError("away"))
    with committed():
        assert revoke_all_users(reason=api.EventKind.ENDED_BY_OPERATOR) == 1
        connection.execute_wrappers.append(refuse)
    connection.execute_wrappers.remove(refuse)
    assert not listener.called
    assert not DeviceSession.objects.unrevoked().exists()


def test_with_nobody_to_end_nothing_is_told(
    db: None, listener: mock.Mock, committed: Committed
) -> None:
    with committed():
        assert revoke_all_users(reason=api.EventKind.ENDED_BY_OPERATOR) == 0
    assert not listener.called


@pytest.mark.usefixtures("phone")
def test_an_expiry_is_not_told(listener: mock.Mock, committed: Committed) -> None:
    DeviceSession.objects.update(idle_expires_at=DeviceSession.objects.get().created_at)
    with committed():
        api.sweep()
    assert not listener.called
