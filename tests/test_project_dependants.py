"""Rows of a project that refer to sessions."""

from pathlib import Path

import pytest

from tests.projects import tell

pytestmark = pytest.mark.waits

MODELS = """
from django.db import models
from authx.models import DeviceSession

class Order(models.Model):
    session = models.ForeignKey(DeviceSession, models.PROTECT, related_name="+")

class Note(models.Model):
    session = models.ForeignKey(DeviceSession, models.CASCADE)
"""
STORY = """
from datetime import timedelta
from django.contrib.auth.models import User
from authx.models import DeviceSession
from authx.sessions.sweep import sweep, sweep_lag
from shop.models import Note, Order

User.objects.create_user("alice", password="correct horse battery")
for name in "abc":
    device = {"installation_id": name}
    body = {"username": "alice", "password": "correct horse battery", "device": device}
    assert post("/users/login", body).status_code == 200
for session in DeviceSession.objects.all():
    for field in ("idle_expires_at", "absolute_expires_at"):
        setattr(session, field, getattr(session, field) - timedelta(days=500))
    session.save()
kept, noted, _ = DeviceSession.objects.order_by("created_at")
Order.objects.create(session=kept)
Note.objects.create(session=noted)
before = sweep_lag()["sessions"].days
swept = sweep().sessions
print(json.dumps({
    "late before": before > 100,
    "swept": swept,
    "left": DeviceSession.objects.get() == kept,
    "notes": Note.objects.count(),
    "late after": sweep_lag()["sessions"].days,
}))
"""
URLS = """
from django.urls import include, path

urlpatterns = [path("users/", include("authx.urls"))]
"""


def test_a_session_that_a_project_protects_stays_and_counts_as_no_delay(
    wheel: Path, tmp_path: Path
) -> None:
    files = {"models": MODELS, "urls": URLS, "story": STORY}
    assert tell(wheel, tmp_path, files) == {
        "late before": True,
        "swept": 2,
        "left": True,
        "notes": 0,
        "late after": 0,
    }
