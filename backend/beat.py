"""Celery's scheduler, as this deployment runs it."""

from datetime import UTC, datetime
from typing import Any, Final

from celery import beat

from tasks.metrics import BEAT_TICK

LONG_AGO: Final = datetime(2000, 1, 1, tzinfo=UTC)


class Scheduler(beat.Scheduler):
    """Celery's scheduler in memory, which writes no file; every task is due when beat starts.

    With a long interval and a frequent restart, a task would otherwise never start.
    """

    def setup_schedule(self) -> None:
        super().setup_schedule()
        for entry in self.schedule.values():
            entry.last_run_at = LONG_AGO

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds until the next."""
        # A beat that is stuck does not end; only this shows it.
        BEAT_TICK.set_to_current_time()
        seconds: float = super().tick(*args, **kwargs)
        return seconds
