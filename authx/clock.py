"""The clock that all processes share: that of the database."""

from datetime import datetime
from typing import TypeAlias

from django.db.models import Model
from django.db.models.functions import Now

# One that was read already, or the time of the statement that contains it.
Instant: TypeAlias = "datetime | Now"


def database_now() -> Now:
    """Return an expression for the time of the statement that contains it.

    One process begins a grace period and another one judges it. By its own clock, a node that is a
    minute off would end a session for a late request, or accept a stolen token for longer.
    """
    return Now()


def read_at(row: Model) -> datetime:
    """Return when a row was read; its query annotates `read_at=database_now()`."""
    now: datetime = vars(row)["read_at"]
    return now
