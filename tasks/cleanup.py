"""Deletes expired rows."""

from celery import shared_task

from authx.sessions.sweep import sweep as sweep_expired

# A sweep continues where a killed one stopped, so this limit loses nothing.
TIME_LIMIT = 30 * 60


@shared_task(name="tasks.cleanup.sweep", ignore_result=True, time_limit=TIME_LIMIT)
def sweep() -> None:
    """Delete ended sessions and old events (see authx.sessions.sweep)."""
    sweep_expired()
