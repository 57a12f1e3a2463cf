"""Deletes rows that no longer matter, in bounded batches, while everybody else goes on."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from django.db import models, transaction
from django.db.models import Exists, OuterRef, Q
from django.utils import timezone

from authx import clock, conf
from authx.models import AccessToken, DeviceSession, SweepLease
from authx.trail import retention

logger = logging.getLogger(__name__)

# How long a killed sweep keeps the next one waiting.
LEASE = timedelta(seconds=60)
LEASE_ID = 1

Delete = Callable[[models.QuerySet[Any]], None]


@dataclass(slots=True)
class SweepReport:
    """What a sweep deleted, or would delete; `stepped_aside` if another one was running."""

    access_tokens: int = 0
    sessions: int = 0
    events: int = 0
    stepped_aside: bool = False


@dataclass(slots=True)
class Lease:
    """The right to be the one sweep that runs, prolonged while it does.

    How long it has been held, this process may tell; until when it holds, all have to agree.
    """

    taken_at: datetime

    def keep(self) -> None:
        now = timezone.now()
        if now > self.taken_at + LEASE / 2:
            self.taken_at = now
            _leases().update(leased_until=clock.shared_now() + LEASE)


def sweep() -> SweepReport:
    """Delete expired access tokens, and sessions and events older than their retention.

    Each batch is a transaction of two statements, so that nothing waits long for a row and a
    sweep that is killed anywhere has lost nothing.
    """
    if not _take_lease():
        logger.info("sweep: another one is running")
        return SweepReport(stepped_aside=True)
    report, lease = SweepReport(), Lease(taken_at=timezone.now())
    try:
        report.access_tokens = _delete_in_batches(_expired_access_tokens(), lease)
        ended = _ended_sessions(AccessToken.objects.all())
        report.sessions = _delete_in_batches(ended, lease)
        notices, events = retention.expired_notices(), retention.expired_events()
        retention.tell_lost(_delete_in_batches(notices, lease, retention.delete_rows))
        report.events = _delete_in_batches(events, lease, retention.delete_rows)
    finally:
        _leases().update(leased_until=clock.shared_now())
    counts = report.access_tokens, report.sessions, report.events
    logger.info("sweep: %d access tokens, %d sessions, %d events", *counts)
    return report


def count_sweepable() -> SweepReport:
    """Return what a sweep would delete now."""
    unexpired = AccessToken.objects.filter(expiry__gt=clock.shared_now())
    return SweepReport(
        access_tokens=_expired_access_tokens().count(),
        sessions=_ended_sessions(unexpired).count(),
        events=retention.expired_events().count(),
    )


def _expired_access_tokens() -> models.QuerySet[AccessToken]:
    return AccessToken.objects.filter(expiry__lte=clock.shared_now()).order_by("expiry")


def _ended_sessions(
    blocking_tokens: models.QuerySet[AccessToken],
) -> models.QuerySet[DeviceSession]:
    """Return the sessions to delete; one that still has such tokens waits for the next sweep."""
    cutoff = clock.shared_now() - conf.sweep_retention()
    return DeviceSession.objects.filter(
        Q(idle_expires_at__lte=cutoff) | Q(revoked_at__lte=cutoff),
        ~Exists(blocking_tokens.filter(session=OuterRef("pk"))),
    )


def _delete(rows: models.QuerySet[Any]) -> None:
    """Delete by one statement, unless other apps hang rows of theirs on ours."""
    if _has_dependants(rows.model):
        rows.delete()
    else:
        # Django would read all rows again to cascade, although they were chosen without tokens.
        rows._raw_delete(rows.db)


def _delete_in_batches(rows: models.QuerySet[Any], lease: Lease, delete: Delete = _delete) -> int:
    """Delete rows until a batch is not full, and return how many went."""
    size: int = conf.own("SWEEP_BATCH_SIZE")
    deleted = 0
    while True:
        count = _delete_batch(rows, size, delete)
        lease.keep()
        deleted += count
        if count < size:
            return deleted


def _delete_batch(rows: models.QuerySet[Any], size: int, delete: Delete) -> int:
    # A row that a request holds is left for the next sweep: nobody waits for anybody.
    unlocked = rows.select_for_update(skip_locked=True, of=("self",)).values_list("pk", flat=True)
    with transaction.atomic():
        keys = list(unlocked[:size])
        if keys:
            delete(rows.model._default_manager.filter(pk__in=keys))
    return len(keys)


def _has_dependants(model: type[models.Model]) -> bool:
    relations = model._meta.related_objects
    return any(relation.related_model is not AccessToken for relation in relations)


def _leases() -> models.QuerySet[SweepLease]:
    return SweepLease.objects.filter(pk=LEASE_ID)


def _take_lease() -> bool:
    now = clock.shared_now()
    # A row, not a database lock: those are lost behind PgBouncer in transaction mode.
    SweepLease.objects.bulk_create(
        [SweepLease(pk=LEASE_ID, leased_until=now)], ignore_conflicts=True
    )
    return bool(_leases().filter(leased_until__lte=now).update(leased_until=now + LEASE))
