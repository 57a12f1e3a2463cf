"""The beat schedule."""

from datetime import timedelta
from typing import Any, Final

# Runs that no worker takes accumulate for so long. They do no harm: a late one finds nothing to do.
# Not shorter: a worker discards what has expired by its own clock, which can differ from beat's.
EXPIRES: Final = timedelta(hours=6)


def beat_schedule(
    *, sweep_interval: timedelta, notification_interval: timedelta
) -> dict[str, dict[str, Any]]:
    """Return the entries for CELERY_BEAT_SCHEDULE."""
    return {
        "sweep": {
            "task": "tasks.cleanup.sweep",
            "schedule": sweep_interval,
            "options": {"expires": EXPIRES.total_seconds()},
        },
        "send-notifications": {
            "task": "tasks.alerts.send_notifications",
            "schedule": notification_interval,
            "options": {"expires": EXPIRES.total_seconds()},
        },
    }
