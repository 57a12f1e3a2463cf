"""A row of another app that protects a session costs the sweep that session alone."""

from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from django.contrib.auth.models import User
from django.db.models import CASCADE, PROTECT, ProtectedError
from django.db.models.deletion import Collector
from pytest_django import Settings

from authx.models import DeviceSession, SecurityEvent
from authx.sessions import dependants, sweep
from tests.conftest import Clock
from tests.phone import Phone

pytestmark = [pytest.mark.django_db, pytest.mark.portable]


def protect(monkeypatch: pytest.MonkeyPatch, keys: set[Any]) -> None:
    """Answer as Django does where a foreign key with PROTECT refers to these sessions."""
    collect = Collector.collect

    def refuse(self: Collector, objs: Any, *args: Any, **kwargs: Any) -> None:
        if {one.pk for one in objs} & keys:
            raise ProtectedError("protected", set())
        collect(self, objs, *args, **kwargs)

    monkeypatch.setattr(Collector, "collect", refuse)


@pytest.mark.parametrize("batch", [1, 2, 1000])
def test_a_protected_session_costs_that_row_alone(
    clock: Clock, alice: User, settings: Settings, monkeypatch: pytest.MonkeyPatch, batch: int
) -> None:
    settings.AUTHX = settings.AUTHX | {"SWEEP_BATCH_SIZE": batch}
    for name in "abcde":
        Phone(device={"installation_id": name}).sign_in()
    # The oldest ones, which come first in every batch.
    kept = set(
        DeviceSession.objects.order_by("sweep_on", "created_at").values_list("pk", flat=True)[:2]
    )
    clock.forward(days=40)
    with mock.patch.object(sweep, "has_dependants", return_value=True):
        protect(monkeypatch, kept)
        assert sweep.sweep().sessions == 3
        assert set(DeviceSession.objects.values_list("pk", flat=True)) == kept
        monkeypatch.undo()
        assert sweep.sweep().sessions == 2


def test_a_session_that_a_foreign_key_protects_counts_as_no_delay(
    phone: Phone, tablet: Phone
) -> None:
    # Stands for a model of a project whose rows refer to sessions: each sign-in has an event.
    field = SimpleNamespace(name="session_id")
    protects = SimpleNamespace(on_delete=PROTECT, field=field, related_model=SecurityEvent)
    cascades = SimpleNamespace(on_delete=CASCADE, field=field, related_model=SecurityEvent)
    everything = DeviceSession.objects.all()
    with mock.patch.object(dependants, "_relations", return_value=[cascades]):
        assert dependants.without_protected(everything).count() == 2
    with mock.patch.object(dependants, "_relations", return_value=[cascades, protects]):
        assert dependants.without_protected(everything).count() == 0
