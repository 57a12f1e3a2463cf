"""Work that runs apart from a request: Celery tasks, one module per topic."""
