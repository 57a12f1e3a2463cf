"""Events about names that nobody has: written, because a missing write would show, and not kept.

Anybody can cause them, so rows that stay would let strangers fill the database.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import transaction

from authx.audit.events import build_event
from authx.audit.logs import LOG_EVENTS, log_event
from authx.models import EventKind, SecurityEvent, write_alias


@contextmanager
def event_of_nobody(kind: EventKind, reason: str) -> Iterator[None]:
    """Log an event, and let its row exist within this block only."""
    log_event(LOG_EVENTS[kind], reason=reason)
    (event,) = SecurityEvent.objects.bulk_create([build_event(kind, reason=reason)])
    yield
    erase_event(event)


def write_event_of_nobody(kind: EventKind, reason: str) -> None:
    """Do the same in one commit, as many as an event takes that stays."""
    with transaction.atomic(using=write_alias()), event_of_nobody(kind, reason):
        pass


def erase_event(event: SecurityEvent) -> None:
    """Delete the row of one event, by one statement."""
    # The query set itself refuses to delete events.
    SecurityEvent.objects.filter(pk=event.pk)._raw_delete(using=write_alias())
