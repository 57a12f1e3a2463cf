"""Watches the whole test run for secrets that leave by a log, an event, a mail or a task.

What a test issues or types is noted, and what leaves is kept until it is over; each test ends with
a search of the one in the other.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from celery.signals import before_task_publish
from django.contrib.auth.base_user import AbstractBaseUser
from django.core import mail

from authx.codec import digest_of
from authx.models.events import SecurityEventQuerySet
from authx.passwords import check
from authx.tokens import TokenCodec
from backend.logs import ContextFilter, JSONFormatter
from tests.phone import PASSWORD

# Shorter ones, like "wrong", are words of ordinary log lines.
SHORTEST = 12
# Generated requests send these as passwords; other records contain them for other reasons.
WORDS_OF_THE_API = (Path(__file__).resolve().parent.parent / "schema.yaml").read_text()


class Watch(logging.Handler):
    """A log handler that is told of everything else, too."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.setFormatter(JSONFormatter())
        self.addFilter(ContextFilter())
        self.secrets = {PASSWORD}
        self.leaving: list[str] = []

    def forget(self) -> None:
        self.secrets, self.leaving = {PASSWORD}, []

    def emit(self, record: logging.LogRecord) -> None:
        self.leaving.append(self.format(record))

    def note(self, secret: str | None) -> None:
        if secret and len(secret) >= SHORTEST and secret not in WORDS_OF_THE_API:
            self.secrets.add(secret)

    def leaks(self) -> list[str]:
        """Return the secrets that left."""
        mails = [str(message.message()) for message in getattr(mail, "outbox", [])]
        left = "\n".join([*self.leaving, *mails])
        return [secret for secret in self.secrets if secret in left]


def noting(watch: Watch, function: Callable[..., Any]) -> Callable[..., Any]:
    """Wrap a function that takes a user and a password."""

    def wrapped(self: AbstractBaseUser, raw_password: Any, *rest: Any) -> Any:
        watch.note(raw_password)
        answer = function(self, raw_password, *rest)
        watch.note(self.password)
        return answer

    return wrapped


@pytest.fixture(scope="session")
def _watch() -> Iterator[Watch]:
    watch = Watch()
    mint, bulk_create = TokenCodec._mint, SecurityEventQuerySet.bulk_create

    def noted_mint(*named: Any) -> Any:
        raw_token = mint(*named)
        watch.secrets |= {raw_token, digest_of(raw_token)}
        return raw_token

    def kept_bulk_create(self: Any, events: Any, *rest: Any, **named: Any) -> Any:
        written = bulk_create(self, events, *rest, **named)
        watch.leaving += [str(vars(event)) for event in written]
        return written

    def keep_message(body: Any = None, **_: Any) -> None:
        watch.leaving.append(str(body))

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(TokenCodec, "_mint", noted_mint)
        patch.setattr(SecurityEventQuerySet, "bulk_create", kept_bulk_create)
        # The check of authx asks Django's hashers, not the method of the user model.
        patch.setattr(check, "_matches", noting(watch, check._matches))
        for name in ("set_password", "check_password"):
            patch.setattr(AbstractBaseUser, name, noting(watch, getattr(AbstractBaseUser, name)))
        before_task_publish.connect(keep_message)
        yield watch
        before_task_publish.disconnect(keep_message)


@pytest.fixture(autouse=True)
def watch(_watch: Watch) -> Iterator[Watch]:
    """Fail whichever test lets a secret leave."""
    _watch.forget()
    # Each time anew: whoever sets logging up takes the handlers away that it finds.
    logging.getLogger().addHandler(_watch)
    yield _watch
    logging.getLogger().removeHandler(_watch)
    leaks = _watch.leaks()
    assert not leaks, leaks
