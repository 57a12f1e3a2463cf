"""What Celery beat starts, and how often."""

from datetime import timedelta
from typing import Any


def beat_schedule(
    *, sweep_interval: timedelta, notification_interval: timedelta
) -> dict[str, dict[str, Any]]:
    """Return the entries for CELERY_BEAT_SCHEDULE."""
    return {
        "sweep": {
            "task": "tasks.cleanup.sweep",
            "schedule": sweep_interval,
            # A run that no worker took before the next is due is dropped: missed runs do not
            # pile up behind a worker that was away.
            "options": {"expires": sweep_interval.total_seconds()},
        },
        "send-notifications": {
            "task": "tasks.alerts.send_notifications",
            "schedule": notification_interval,
            "options": {"expires": notification_interval.total_seconds()},
        },
    }
