"""The watch over the whole test run sees a secret wherever it leaves (tests/secrets_watch.py)."""

import logging
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.mail import EmailMessage

from authx.audit.events import record_event
from authx.codec import digest_of
from authx.models import EventKind
from authx.tokens import RawToken
from backend.celery import app
from tests.phone import PASSWORD, Phone
from tests.secrets_watch import Watch

logger = logging.getLogger("anywhere")


def log(secret: str) -> None:
    logger.warning("a message with %s inside", secret)


def log_as_a_field(secret: str) -> None:
    logger.info("harmless", extra={"reason": secret})


def log_as_an_error(secret: str) -> None:
    logger.error("failed", exc_info=ValueError(secret))


def record_as_a_reason(secret: str) -> None:
    record_event(kind=EventKind.RATE_LIMITED, reason=secret[:64])


def mail(secret: str) -> None:
    EmailMessage("a subject", secret, to=["alice@example.com"]).send()


def send_to_a_task(secret: str) -> None:
    with app.connection_for_write():
        app.send_task("tasks.nothing", args=[secret], expires=1)


WAYS = [
    *(log, log_as_a_field, log_as_an_error, mail),
    pytest.param(send_to_a_task, marks=pytest.mark.postgresql),
]


@pytest.mark.parametrize("leave", WAYS)
def test_a_planted_token_is_seen(leave: Any, phone: Phone, watch: Watch) -> None:
    assert watch.leaks() == []
    leave(phone.refresh_token)
    assert watch.leaks() == [phone.refresh_token]
    watch.forget()


@pytest.mark.parametrize("secret_of", [lambda phone: phone.access_token, lambda _: PASSWORD])
def test_planted_secrets_of_other_kinds_are_found(
    secret_of: Any, phone: Phone, watch: Watch
) -> None:
    log(secret_of(phone))
    assert watch.leaks() == [secret_of(phone)]
    watch.forget()


def test_a_planted_digest_and_a_planted_hash_are_seen(
    alice: User, phone: Phone, watch: Watch
) -> None:
    planted = {digest_of(RawToken(phone.access_token)), alice.password}
    for secret in planted:
        log(secret)
    assert set(watch.leaks()) == planted
    watch.forget()


def test_a_password_in_the_audit_trail_is_found(alice: User, watch: Watch) -> None:
    record_as_a_reason(PASSWORD)
    assert watch.leaks() == [PASSWORD]
    watch.forget()


def test_a_word_of_the_api_is_no_secret(watch: Watch) -> None:
    watch.note("installation_id")
    watch.note("installation_id of nobody")
    assert watch.secrets == {PASSWORD, "installation_id of nobody"}
    watch.forget()
