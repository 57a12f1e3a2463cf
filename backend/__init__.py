"""The Django project: wires authx and tasks to servers, and nothing else."""

# Loaded with the settings, so that what sends a task from a request knows the broker.
from backend.celery import app as celery_app

__all__ = ["celery_app"]
