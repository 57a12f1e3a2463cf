"""The end of the trail: what the sweep deletes of it, the only way that events ever go."""

from django.db import models

from authx import clock, conf
from authx.models import Notice, SecurityEvent
from authx.trail.telling import tell
from authx.trail.vocabulary import NOTICE_DROPPED


def expired_events() -> models.QuerySet[SecurityEvent]:
    """Return the events that are older than their retention, oldest first."""
    cutoff = clock.shared_now() - conf.event_retention()
    return SecurityEvent.objects.filter(created_at__lte=cutoff).order_by("created_at")


def expired_notices() -> models.QuerySet[Notice]:
    """Return the notices that nobody sent while their events lasted: no worker ever came."""
    cutoff = clock.shared_now() - conf.event_retention()
    return Notice.objects.filter(due_at__lte=cutoff).order_by("due_at")


def tell_lost(count: int) -> None:
    """Log how many mails nobody will get."""
    if count:
        tell(NOTICE_DROPPED, reason=f"{count} never sent")
