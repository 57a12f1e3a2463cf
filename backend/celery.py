"""The Celery application: `celery --app backend.celery worker`, and the same with `beat`."""

import os

from celery import Celery

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "backend.settings")

# Named one by one: autodiscovery would look for a module `tasks.tasks` and find nothing.
app = Celery("backend", include=["tasks.cleanup"])
app.config_from_object("django.conf:settings", namespace="CELERY")
