"""Lets libraries that move Python's clock move that of authx as well."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from unittest import mock

from django.db.models import DateTimeField, Model, Value
from django.utils import timezone

from authx import clock
from authx.testing.environment import require_test_environment


@contextmanager
def follow_python_clock() -> Iterator[None]:
    """Read the time from Python instead of the database, for freezegun and time-machine."""
    require_test_environment()
    with (
        mock.patch.object(clock, "database_now", _now),
        # The statement of every request is compiled with the database's own clock in it.
        mock.patch.object(clock, "read_at", _read_at),
    ):
        yield


def _now() -> Value:
    return Value(timezone.now(), output_field=DateTimeField())


def _read_at(_: Model) -> datetime:
    return timezone.now()
