"""The Django project that wires authx and tasks to servers."""

# Loaded with the settings, so that code which sends a task in a request uses this broker.
from backend.celery import app as celery_app

__all__ = ["celery_app"]
