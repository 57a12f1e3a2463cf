"""Databases of other projects: relations, routers, drivers, isolation levels, lost connections."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any
from unittest import mock

import psycopg
import pytest
from django.apps import apps
from django.db import OperationalError, close_old_connections, connection, connections, models
from django.utils import timezone

from authx.models import DeviceSession, SecurityEvent
from authx.sessions import statements, sweep
from tests.databases import add_connection, replica_asked
from tests.phone import PASSWORD, Phone
from tests.places import AWAY, HOME, refresh_from
from tests.processes import Processes

pytestmark = pytest.mark.portable

BREAK = "SELECT pg_terminate_backend(%s)"


@pytest.fixture
def push_channel() -> Iterator[Any]:
    """Return a model of a project that refers to a session without a reverse name."""

    class PushChannel(models.Model):
        session = models.ForeignKey(DeviceSession, on_delete=models.CASCADE, related_name="+")

        class Meta:
            app_label = "authx"

    with connection.schema_editor() as editor:
        editor.create_model(PushChannel)
    try:
        yield PushChannel
    finally:
        connection.close()
        with connection.schema_editor() as editor:
            editor.delete_model(PushChannel)
        del apps.all_models["authx"]["pushchannel"]
        apps.clear_cache()


@pytest.mark.django_db(transaction=True)
def test_a_hidden_relation_of_another_app_does_not_stop_the_sweep(
    phone: Phone, push_channel: Any
) -> None:
    session = DeviceSession.objects.get()
    push_channel.objects.create(session=session)
    ago = timezone.now() - timedelta(days=30)
    DeviceSession.objects.update(idle_expires_at=ago)
    assert sweep.sweep().sessions == 1


class Elsewhere:
    """Sessions, events and users in a database that is not the default one."""

    def db_for_write(self, model: Any, **_: Any) -> str | None:
        return "accounts" if model._meta.app_label in {"authx", "auth"} else None

    db_for_read = db_for_write


@pytest.fixture
def accounts(settings: Any) -> Iterator[None]:
    added = add_connection("accounts")
    settings.DATABASE_ROUTERS = [Elsewhere()]
    yield
    added.close()
    del connections["accounts"]


@pytest.fixture
def replica(settings: Any) -> Iterator[list[str]]:
    with replica_asked(settings) as asked:
        yield asked


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ["sign in", "refresh", "use", "logout-all", "reuse"])
def test_sessions_may_live_in_another_database_than_the_default_one(
    phone: Phone, no_grace_period: None, accounts: None, act: str
) -> None:
    """Design section 11: every statement beside a session names its write alias."""
    old = phone.refresh_token
    if act == "reuse":
        phone.refresh()
        phone.call()
    acts: dict[str, Callable[[], Any]] = {
        "sign in": phone.try_sign_in,
        "refresh": phone.try_refresh,
        "use": phone.call,
        "logout-all": lambda: phone.send("POST", "logout-all", {}),
        "reuse": lambda: phone.try_refresh(old),
    }
    answer = acts[act]()
    assert answer.status_code == (400 if act == "reuse" else 200)


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_revocation_and_its_event_are_one_transaction_in_another_database(
    phone: Phone, accounts: None
) -> None:
    """Without its event, the revocation does not happen (SECURITY.md)."""
    with mock.patch.object(SecurityEvent.objects, "bulk_create", side_effect=OperationalError):
        assert phone.send("POST", "logout").status_code == 503
    assert DeviceSession.objects.get().revoked_at is None


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_a_sweep_deletes_where_writes_go(replica: list[str]) -> None:
    sweep.sweep()


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("act", ["refresh", "use", "password", "logout-all", "retry-away"])
def test_nothing_is_decided_by_what_a_replica_says(
    phone: Phone, replica: list[str], act: str
) -> None:
    old = phone.refresh_token
    if act == "retry-away":
        refresh_from(old, **HOME)
    replica.clear()
    new = "another long passphrase, never seen"
    acts: dict[str, Callable[[], Any]] = {
        "refresh": phone.try_refresh,
        "use": phone.call,
        "password": lambda: phone.send(
            "POST", "password", {"current_password": PASSWORD, "new_password": new}
        ),
        "logout-all": lambda: phone.send("POST", "logout-all", {}),
        "retry-away": lambda: refresh_from(old, **AWAY),
    }
    acts[act]()
    assert replica == []


@pytest.mark.django_db
def test_psycopg_2_is_served(phone: Phone) -> None:
    """Django 5.2 supports it; there its module has no ServerBindingCursor."""
    with mock.patch("django.db.backends.postgresql.base.ServerBindingCursor", None):
        assert phone.call().status_code == 200


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("where", ["rotate", "note_use"])
def test_a_connection_that_breaks_between_select_and_update(phone: Phone, where: str) -> None:
    phone.refresh()
    write = getattr(statements, where)
    broken: list[int] = []

    def late(*args: Any, **kwargs: Any) -> None:
        if not broken:
            pid = connection.connection.info.backend_pid
            broken.append(pid)
            with psycopg.connect(**connection.get_connection_params() | {"context": None}) as rival:
                rival.execute(BREAK, [pid])
        write(*args, **kwargs)

    act = phone.try_refresh if where == "rotate" else phone.call
    with mock.patch.object(statements, where, late):
        assert act().status_code == 503
    # What Django does before each request; its test client does not.
    close_old_connections()
    assert act().status_code == 200


def _sign_in(name: str, installation: str) -> int:
    device = {"name": "phone", "installation_id": installation}
    try:
        return Phone(name, device).try_sign_in().status_code
    finally:
        connection.close()


WAITING = "SELECT count(*) FROM pg_locks WHERE NOT granted"


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("installations", [list("abcd")], ids=str)
def test_sign_ins_side_by_side_at_repeatable_read(
    alice: Any, without_limits: None, settings: Any, installations: list[str]
) -> None:
    """The snapshot is older than the lock on the user: a sign-in sees nothing of the one before."""
    settings.AUTHX = settings.AUTHX | {"SESSION_LIMIT_PER_USER": 2}
    options = connections.settings["default"]["OPTIONS"]
    level = psycopg.IsolationLevel.REPEATABLE_READ
    parameters = connection.get_connection_params() | {"context": None}
    with (
        mock.patch.dict(options, isolation_level=level),
        psycopg.connect(**parameters) as rival,
        ThreadPoolExecutor() as pool,
    ):
        rival.execute("SELECT 1 FROM auth_user FOR UPDATE")
        answers = [pool.submit(_sign_in, alice.username, each) for each in installations]
        deadline = time.monotonic() + 10
        while rival.execute(WAITING).fetchone() != (4,):
            assert time.monotonic() < deadline
        rival.commit()
    statuses = {answer.result() for answer in answers}
    assert statuses <= {200, 503}, statuses
    assert DeviceSession.objects.unrevoked().count() <= 2


@pytest.mark.postgresql
@pytest.mark.django_db(transaction=True)
def test_sign_ins_of_one_installation_at_repeatable_read_are_no_failures_of_ours(
    alice: Any, without_limits: None
) -> None:
    options = connections.settings["default"]["OPTIONS"]
    level = psycopg.IsolationLevel.REPEATABLE_READ
    with mock.patch.dict(options, isolation_level=level), Processes(6) as processes:
        answers = []
        for _ in range(8):
            DeviceSession.objects.all().delete()
            answers += processes.together([(_sign_in, (alice.username, "same"))] * 6)
    assert 500 not in answers


@pytest.mark.django_db(transaction=True)
def test_a_plan_keeps_no_connection_of_the_thread_that_compiled_it(phone: Phone) -> None:
    phone.call()
    for plan in statements._select._plans.values():
        for _, (converters, _expression) in plan._converters:
            for convert in converters:
                # A field belongs to no connection.
                assert isinstance(getattr(convert, "__self__", None), models.Field | None)
