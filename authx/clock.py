"""The one clock that all processes share: the database's."""

from datetime import datetime

from django.db.models import Model
from django.db.models.functions import Now


def database_now() -> Now:
    """Return the time of the statement that it stands in, as an expression.

    What one process begins, another one ends: by its own clock, a node that is a minute off would
    take a straggler for a thief, or give a thief a longer window.
    """
    return Now()


def read_at(row: Model) -> datetime:
    """Return when a row was read that was annotated with `read_at=database_now()`."""
    now: datetime = vars(row)["read_at"]
    return now
