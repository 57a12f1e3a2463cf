"""Events of users who are gone, and the erasure of one user's events."""

from typing import Any

from django.db import transaction
from django.db.models import Q, QuerySet

from authx.audit.logs import EVENTS_ERASED, log_event_after_commit
from authx.models import Notification, SecurityEvent, all_users, write_alias


def detach_events(*, user_id: Any) -> None:
    """Keep the events of a deleted user from whoever gets the same primary key."""
    events = SecurityEvent.objects.filter(user_id=user_id)
    # The query set itself refuses to change events.
    QuerySet.update(events, user_id=None, former_user_id=str(user_id))


def erase_events(*, user_id: Any) -> int:
    """Delete an existing user's events, and mail about them that is not sent; return how many."""
    return _erase(Q(user_id=user_id), user_id)


def erase_former_events(*, user_id: Any) -> int:
    """Do the same for deleted users who had this primary key, and not for who has it now."""
    former = Q(former_user_id=str(user_id))
    if not all_users().filter(pk=user_id).exists():
        # Deleted without a signal, by SQL or in bulk.
        former |= Q(user_id=user_id)
    return _erase(former, user_id)


def _erase(whose: Q, user_id: Any) -> int:
    events = SecurityEvent.objects.filter(whose)
    with transaction.atomic(using=write_alias()):
        Notification.objects.filter(event_id__in=events.values("pk")).delete()
        count, _ = QuerySet.delete(events)
        reason = f"{count} events"
        log_event_after_commit(EVENTS_ERASED, user_id=user_id, session_id=None, reason=reason)
    return count
