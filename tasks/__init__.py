"""Celery tasks, one module per topic."""
