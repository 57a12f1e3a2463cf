"""Events of one person can be erased, and nobody inherits them with a primary key."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.management import call_command
from django.core.management.base import CommandError
from django.db import connection
from django.db.models.signals import post_save

from authx.models import Notification, SecurityEvent
from tests.conftest import Clock, Statements
from tests.phone import PASSWORD, Phone

pytestmark = [pytest.mark.django_db, pytest.mark.portable]


def erase(*words: str) -> str:
    out = StringIO()
    call_command("erase_events", *words, stdout=out)
    return out.getvalue().strip()


def owners() -> set[tuple[Any, str]]:
    return set(SecurityEvent.objects.values_list("user_id", "former_user_id"))


def again(user: User) -> User:
    """Return another user with the same primary key."""
    return User.objects.create_user("carol", password=PASSWORD, pk=user.pk)


def test_a_users_events_and_unsent_mail_are_erased_and_those_of_others_stay(
    phone: Phone, alice: User, bob: User, caplog: pytest.LogCaptureFixture
) -> None:
    Phone(device={"installation_id": "another"}).sign_in()
    Phone("bob").sign_in()
    Phone("bob", device={"installation_id": "another"}).sign_in()
    assert Notification.objects.count() == 2
    count = SecurityEvent.objects.filter(user=alice).count()
    assert erase("--user", "alice") == f"Erased {count} events."
    assert owners() == {(bob.pk, "")}
    assert Notification.objects.get().event.user_id == bob.pk
    assert phone.is_signed_in


def test_an_erasure_is_logged(
    phone: Phone, alice: User, caplog: Any, django_capture_on_commit_callbacks: Any
) -> None:
    with django_capture_on_commit_callbacks(execute=True):
        assert erase("--user", "alice") == "Erased 1 event."
    record = next(one for one in caplog.records if vars(one).get("event") == "sensitive_delete")
    assert (vars(record)["user_id"], vars(record)["reason"]) == (str(alice.pk), "1 events")


def test_events_of_a_deleted_user_are_erased_by_primary_key(
    phone: Phone, alice: User, bob: User
) -> None:
    key = str(alice.pk)
    alice.delete()
    carol = again(User(pk=int(key)))
    Phone("carol").sign_in()
    assert erase("--deleted-user", key) == "Erased 2 events."
    assert owners() == {(carol.pk, "")}
    assert erase("--deleted-user", key) == "Erased 0 events."


def test_events_of_a_user_who_was_deleted_by_sql_are_erased_too(alice: User) -> None:
    Phone().try_sign_in("wrong password")
    delete_by_sql(alice)
    assert erase("--deleted-user", str(alice.pk)) == "Erased 1 event."


def delete_by_sql(user: User) -> None:
    with connection.cursor() as cursor:
        cursor.execute("DELETE FROM authx_passwordfailures WHERE user_id = %s", [user.pk])
        cursor.execute("DELETE FROM auth_user WHERE id = %s", [user.pk])


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["--user", "nobody"], "There is no user 'nobody'"),
        (["--deleted-user", "alice"], "cannot be a primary key"),
        ([], "required"),
        (["--user", "alice", "--deleted-user", "1"], "not allowed with"),
    ],
)
def test_a_wrong_command_line_erases_nothing(
    phone: Phone, words: list[str], complaint: str
) -> None:
    with pytest.raises(CommandError, match=complaint):
        erase(*words)
    assert SecurityEvent.objects.count() == 1


@pytest.mark.parametrize("delete", [User.delete, delete_by_sql])
def test_a_primary_key_that_is_used_again_inherits_no_event_and_no_failure(
    alice: User, delete: Any
) -> None:
    Phone().try_sign_in("wrong password")
    key = alice.pk
    delete(alice)
    heir = again(User(pk=key))
    assert owners() == {(None, str(key))}
    phone = Phone("carol").sign_in()
    kinds = [event["kind"] for event in phone.send("GET", "activity").json()["results"]]
    assert kinds == ["signed_in"]
    # Not after_failure, and not from a new device.
    event = SecurityEvent.objects.get(user=heir)
    assert (event.kind, event.reason) == ("signed_in", "")


def test_a_primary_key_that_is_used_again_inherits_no_count_of_attempts(
    clock: Clock, alice: User, django_capture_on_commit_callbacks: Any
) -> None:
    assert [Phone().try_sign_in("wrong").status_code for _ in range(6)] == [400] * 5 + [429]
    key = alice.pk
    with django_capture_on_commit_callbacks(execute=True):
        alice.delete()
    again(User(pk=key))
    assert Phone("carol").try_sign_in().status_code == 200


def test_loading_a_fixture_keeps_the_events_of_its_users(phone: Phone, alice: User) -> None:
    alice.save_base(raw=True, force_update=True)
    assert owners() == {(alice.pk, "")}


def test_a_user_of_another_database_takes_no_events_away(
    alice: User, statements: Callable[[], Statements]
) -> None:
    with statements() as sql:
        post_save.send(User, instance=alice, created=True, raw=False, using="another")
    assert sql.sql == []
