"""The end of the trail: what the sweep deletes of it, the only way that events ever go."""

from django.db import models

from authx import clock, conf
from authx.audit.logs import log_event
from authx.audit.vocabulary import NOTIFICATION_DROPPED
from authx.models import Notification, SecurityEvent


def expired_events() -> models.QuerySet[SecurityEvent]:
    """Return the events that are older than their retention, oldest first."""
    cutoff = clock.database_now() - conf.event_retention()
    return SecurityEvent.objects.filter(created_at__lte=cutoff).order_by("created_at")


def expired_notifications() -> models.QuerySet[Notification]:
    """Return the notices that nobody sent while their events lasted: no worker ever came."""
    cutoff = clock.database_now() - conf.event_retention()
    return Notification.objects.filter(due_at__lte=cutoff).order_by("due_at")


def log_dropped_notifications(count: int) -> None:
    """Log how many mails nobody will get."""
    if count:
        log_event(NOTIFICATION_DROPPED, reason=f"{count} never sent")
