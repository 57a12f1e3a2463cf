"""How many links are mailed to one account: a stranger uses up nobody's way back."""

from http import HTTPStatus
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core import mail

from authx.models import Notification, SecurityEvent
from tests.account import ask, confirm, link_in, mailed_token, mails, token_in, with_address
from tests.conftest import Clock
from tests.phone import PASSWORD, Phone, error_of

pytestmark = pytest.mark.django_db


@pytest.fixture
def alice(alice: User) -> User:
    return with_address(alice)


def test_too_many_mails_cost_the_same_statements(alice: User, statements: Any) -> None:
    def cost(name: str) -> list[str]:
        with statements() as sql:
            ask(name)
        return [one.split(" ")[0] for one in sql.sql]

    first = cost("alice")
    assert all(cost(name) == first for name in ["alice", "alice@example.com"] * 3)


def test_too_many_mails_to_an_account_are_not_sent_and_nobody_is_told(alice: User) -> None:
    for name in ("alice", "nobody"):
        answers = {ask(name, REMOTE_ADDR=f"192.0.2.{n}").status_code for n in range(5)}
        assert answers == {HTTPStatus.ACCEPTED}
    assert len(mails()) == 2
    assert {one.to[0] for one in mail.outbox} == {"alice@example.com"}
    assert not Notification.objects.exists()
    assert SecurityEvent.objects.filter(reason="too many mails", user_id=alice.pk).count() == 3


@pytest.mark.parametrize("used", [0, 1])
def test_a_stranger_who_uses_up_the_mails_leaves_links_that_work(
    clock: Clock, alice: User, used: int
) -> None:
    for minute in range(29):
        ask("alice", REMOTE_ADDR=f"192.0.2.{minute}")
        clock.forward(minutes=1)
    links = [token_in(link_in(message)) for message in mails()]
    assert len(links) == 2
    # The last of the thirty minutes: one mail is new, or each of those that were sent still works.
    assert confirm(links[used]).status_code == HTTPStatus.OK
    assert error_of(confirm(links[1 - used])) == (400, "invalid_grant")


@pytest.mark.parametrize("minutes", range(0, 90, 7))
def test_an_owner_has_a_link_at_any_time_although_a_stranger_keeps_asking(
    clock: Clock, alice: User, minutes: int
) -> None:
    for minute in range(minutes):
        ask("alice", REMOTE_ADDR=f"192.0.2.{minute}")
        mails()
        clock.forward(minutes=1)
    ask("alice", REMOTE_ADDR="198.51.100.1")
    assert confirm(token_in(link_in(mails()[-1]))).status_code == HTTPStatus.OK


def test_a_thief_who_changes_the_password_does_not_keep_the_owner_from_a_new_link(
    alice: User, phone: Phone, committed: Any
) -> None:
    for _ in range(3):
        ask("alice")
    body = {"current_password": PASSWORD, "new_password": "that of a thief"}
    with committed():
        assert phone.send("POST", "password", body).status_code == HTTPStatus.OK
    mails()
    assert confirm(mailed_token()).status_code == HTTPStatus.OK


def test_whoever_has_used_a_link_can_ask_for_the_next(alice: User, committed: Any) -> None:
    mailed_token()
    with committed():
        assert confirm(mailed_token()).status_code == HTTPStatus.OK
    mails()
    assert confirm(mailed_token(), "a third horse, a third battery").status_code == HTTPStatus.OK


def test_a_network_that_asks_too_often_is_refused(alice: User, settings: Any) -> None:
    settings.AUTHX = settings.AUTHX | {"SIGN_IN_RATES_PER_IP": ["2/minute"]}
    assert [ask("nobody").status_code for _ in range(3)] == [202, 202, 429]
    assert ask("alice", REMOTE_ADDR="192.0.2.1").status_code == HTTPStatus.ACCEPTED
