"""Deletes rows past their retention, in batches that do not block requests."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic, sleep
from typing import Any, Final
from uuid import UUID, uuid4

from django.db import connections, models, transaction
from django.db.models import ExpressionWrapper, Min, Q
from django.db.models.expressions import RawSQL
from django.db.models.functions import Coalesce, Least
from django.utils import timezone

from authx import clock, conf
from authx.audit.events import expired_events, expired_notifications, log_dropped_notifications
from authx.models import DeviceSession, SecurityEvent, SweepLease, write_alias
from authx.models.sessions import UTCDate
from authx.sessions.dependants import delete_with_dependants, has_dependants, without_protected
from authx.signals import sweep_finished

logger = logging.getLogger(__name__)

# How long the lease of a killed sweep blocks the next one.
LEASE: Final = timedelta(seconds=60)
LEASE_ID: Final = 1
# The size of a batch is adjusted so that it takes about this long. A commit waits until the WAL
# before it is on disk, that of the batch included.
BATCH_SECONDS: Final = 0.01
# For each batch, the sweep rests so many times as long, and leaves disk and processor to requests.
REST: Final = 9
MAX_PAUSE_SECONDS: Final = 1.0
MIN_BATCH: Final = 500
# Where Django deletes what refers to the rows, one by one.
MIN_COLLECTED_BATCH: Final = 20
MAX_BATCH: Final = 250_000
# The physical address of a row, and how PostgreSQL finds rows by it without a join.
ADDRESSES: Final = {"postgresql": ("ctid", "= ANY(ARRAY(%s))")}
# The commit of a batch waits for no disk and no standby: a row that comes back after a crash has
# ended all the same, and the next sweep deletes it. Evaluated once, for this one statement.
WITHOUT_WAITING: Final = " AND (SELECT set_config('synchronous_commit', 'off', true)) = 'off'"
# The most by which a batch grows or shrinks from the one before it.
STEP: Final = 4
LAG_SAMPLE: Final = 1000


@dataclass(slots=True)
class SweepReport:
    """What a sweep deleted, or would delete; `skipped` if another one was running."""

    sessions: int = 0
    events: int = 0
    skipped: bool = False


@dataclass(slots=True)
class Lease:
    """The right to sweep, extended while the sweep runs.

    Its age is measured by this process; its end, which all processes compare, by the database.
    """

    owner: UUID
    taken_at: datetime
    # By the clock of the database. Rows are compared with it and not with an expression, which
    # PostgreSQL would evaluate for each row.
    began_at: datetime
    is_held: bool = True

    def extend(self) -> None:
        """Note if this process paused for so long that another one has taken over."""
        now = timezone.now()
        if now > self.taken_at + LEASE / 2:
            self.taken_at = now
            self.is_held = bool(self._set_end(clock.database_now() + LEASE))

    def give_back(self) -> None:
        """Let the next sweep begin; does nothing to the lease of another one."""
        self._set_end(clock.database_now())

    def _set_end(self, end: Any) -> int:
        return _leases().filter(owner=self.owner).update(leased_until=end)


def sweep() -> SweepReport:
    """Delete sessions and events older than their retention.

    Each batch is one short statement, so that no request waits long for a row or for its own
    commit, and a killed sweep loses nothing. Between two batches the sweep rests.
    """
    lease = _take_lease()
    if lease is None:
        logger.info("sweep: another one is running")
        return SweepReport(skipped=True)
    began, report = monotonic(), SweepReport()
    try:
        now = lease.began_at
        report.sessions = _delete_in_batches(_ended_sessions(now), lease)
        log_dropped_notifications(_delete_in_batches(expired_notifications(now), lease))
        report.events = _delete_in_batches(expired_events(now), lease)
    finally:
        lease.give_back()
    if not lease.is_held:
        logger.warning("sweep: another one has taken over")
    logger.info("sweep: %d sessions, %d events", report.sessions, report.events)
    sweep_finished.send_robust(sender=SweepReport, report=report, seconds=monotonic() - began)
    return report


def count_sweepable() -> SweepReport:
    """Return what a sweep would delete now."""
    now = clock.database_now()
    return SweepReport(sessions=_ended_sessions(now).count(), events=expired_events(now).count())


def sweep_lag() -> dict[str, timedelta]:
    """Return by table how long the oldest row has been overdue for the sweep; zero for none.

    Sessions that another app keeps do not count. Of those with the oldest day of end, LAG_SAMPLE
    are read: on a busy day many rows have not ended yet, and this runs at every scrape of the
    metrics.
    """
    oldest = (
        without_protected(DeviceSession.objects.all())
        .filter(sweep_on__lte=UTCDate(clock.database_now()))
        .order_by("sweep_on")
        .annotate(ended_at=Least(Coalesce("revoked_at", "idle_expires_at"), "idle_expires_at"))
    )[:LAG_SAMPLE]
    events = SecurityEvent.objects.aggregate(age=_age(Min("created_at")))
    ages = {
        "sessions": (oldest.aggregate(age=_age(Min("ended_at")))["age"], conf.sweep_retention()),
        "events": (events["age"], conf.event_retention()),
    }
    none = timedelta(0)
    return {name: max(none, (age or none) - retention) for name, (age, retention) in ages.items()}


def _age(instant: Min) -> "ExpressionWrapper[Any]":
    return ExpressionWrapper(clock.database_now() - instant, output_field=models.DurationField())


def _ended_sessions(now: clock.Instant) -> models.QuerySet[DeviceSession]:
    """Return the sessions whose end is older than the retention.

    The day of the end is indexed; on the last day, the ends themselves decide.
    """
    cutoff = now - conf.sweep_retention()
    return DeviceSession.objects.filter(
        Q(idle_expires_at__lte=cutoff) | Q(revoked_at__lte=cutoff),
        sweep_on__lte=UTCDate(cutoff),
    ).order_by("sweep_on")


@dataclass(slots=True)
class _Deletion:
    """How to delete the rows of a query, and the keys of those that have to stay."""

    rows: models.QuerySet[Any]
    # Compiled once for all batches; none if Django has to collect what refers to the rows.
    sql: str = ""
    parameters: Sequence[Any] = ()
    kept: list[Any] = field(default_factory=list)

    @property
    def min_batch(self) -> int:
        return MIN_BATCH if self.sql else MIN_COLLECTED_BATCH


def _delete_in_batches(rows: models.QuerySet[Any], lease: Lease) -> int:
    """Delete rows until a batch is not full or the lease is lost; return how many."""
    size: int = conf.authx_setting("SWEEP_BATCH_SIZE")
    deletion, tried = _prepare(rows), 0
    while lease.is_held:
        began = monotonic()
        count = _delete_batch(deletion, size)
        lease.extend()
        tried += count
        if count < size:
            break
        seconds = monotonic() - began
        size = _next_size(size, seconds, deletion.min_batch)
        sleep(_pause_after(seconds))
    return tried - len(deletion.kept)


def _pause_after(seconds: float) -> float:
    """Return how long to rest after a batch; a slow one must not cost the lease."""
    return min(seconds * REST, MAX_PAUSE_SECONDS)


def _next_size(size: int, seconds: float, smallest: int) -> int:
    """Return the size of the next batch.

    PostgreSQL can skip deleted rows only once their commit is on disk and no open snapshot (a dump,
    a report) is older; until then, each batch looks at all of them. That takes as long for a small
    batch, so shrinking ends somewhere.
    """
    wanted = int(size * BATCH_SECONDS / max(seconds, 0.001))
    within_a_step = min(max(wanted, size // STEP), size * STEP)
    return min(max(within_a_step, min(size, smallest)), max(size, MAX_BATCH))


def _delete_batch(deletion: _Deletion, size: int) -> int:
    """Return how many rows were tried."""
    rows, kept = deletion.rows, deletion.kept
    if not deletion.sql:
        keys = list(rows.exclude(pk__in=kept).values_list("pk", flat=True)[:size])
        kept += delete_with_dependants(rows, keys)
        return len(keys)
    connection, sql = connections[rows.db], deletion.sql
    if connection.vendor == "postgresql" and connection.get_autocommit():
        sql += WITHOUT_WAITING
    with connection.cursor() as cursor:
        cursor.execute(sql, (*deletion.parameters, size))
        count: int = cursor.rowcount
    return count


def _prepare(rows: models.QuerySet[Any]) -> _Deletion:
    """Return a DELETE over a locked sub-select, whose last parameter is the size of a batch.

    On PostgreSQL by physical address, which the lock keeps: looking each row up by its key again
    would take several times as long.
    """
    if rows.model is DeviceSession and has_dependants(DeviceSession):
        return _Deletion(rows)
    connection = connections[rows.db]
    table = connection.ops.quote_name(rows.model._meta.db_table)
    address, found = ADDRESSES.get(connection.vendor, ("rowid", "IN (%s)"))
    # Names of ours, quoted by Django; every value stays a parameter.
    column = RawSQL(f"{table}.{address}", ())  # noqa: S611 # nosec B611
    # A row that a request has locked is left for the next sweep.
    batch = rows.select_for_update(skip_locked=True, of=("self",))
    addresses = batch.annotate(address=column).values("address")
    with transaction.atomic(using=rows.db):
        # Compiled within the transaction that Django asks for; a single DELETE needs none.
        sql, parameters = addresses.query.get_compiler(connection=connection).as_sql()
    selected = found % f"{sql} LIMIT %s"
    delete = f"DELETE FROM {table} WHERE {address} {selected}"  # noqa: S608 # nosec B608
    return _Deletion(rows, delete, parameters)


def _leases() -> models.QuerySet[SweepLease]:
    return SweepLease.objects.filter(pk=LEASE_ID)


def _take_lease() -> Lease | None:
    now, owner = clock.database_now(), uuid4()
    # A row, not a database lock: those are lost behind PgBouncer in transaction mode.
    SweepLease.objects.bulk_create(
        [SweepLease(pk=LEASE_ID, owner=owner, leased_until=now)], ignore_conflicts=True
    )
    with transaction.atomic(using=write_alias()):
        # One whose row is locked is taken. Waiting for it would keep a process of the worker from
        # the mail.
        free = _leases().filter(leased_until__lte=now).annotate(read_at=now)
        taken = free.select_for_update(skip_locked=True).first()
        if taken is None:
            return None
        _leases().update(owner=owner, leased_until=now + LEASE)
    return Lease(owner, taken_at=timezone.now(), began_at=clock.read_at(taken))
