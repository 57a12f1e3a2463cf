"""Metrics of the tasks, and of beat."""

from time import monotonic
from typing import Any, Final

from celery.signals import task_postrun, task_prerun
from prometheus_client import Gauge, Histogram

TASK_DURATION: Final = Histogram(
    "authx_task_duration_seconds",
    "Runs of a task, by name and final state.",
    ["task", "state"],
    buckets=(0.1, 1, 10, 60, 600, 1800),
)
BEAT_TICK: Final = Gauge(
    "authx_beat_tick_timestamp_seconds",
    "When beat last looked for what is due.",
    multiprocess_mode="mostrecent",
)

_began: dict[str, float] = {}


@task_prerun.connect
def note_start(task_id: str, **_: Any) -> None:
    _began[task_id] = monotonic()


@task_postrun.connect
def observe(task_id: str, task: Any, state: str | None = None, **_: Any) -> None:
    seconds = monotonic() - _began.pop(task_id)
    TASK_DURATION.labels(task.name, state).observe(seconds)
