"""Celery's scheduler, as this deployment runs it."""

from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler

from tasks.metrics import BEAT_TICK


class Scheduler(PersistentScheduler):
    """Creates the directory of its file, and reports that it runs."""

    def setup_schedule(self) -> None:
        filename = self.schedule_filename  # type: ignore[attr-defined]  # not in the stubs
        Path(filename).parent.mkdir(parents=True, exist_ok=True)
        super().setup_schedule()

    def tick(self, *args: Any, **kwargs: Any) -> float:
        """Send what is due; return the seconds until the next."""
        # A beat that is stuck does not end; only this shows it.
        BEAT_TICK.set_to_current_time()
        seconds: float = super().tick(*args, **kwargs)
        return seconds
