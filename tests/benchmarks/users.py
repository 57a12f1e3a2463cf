"""Users of a measured project, made when they are needed."""

from collections.abc import Iterator
from itertools import count
from typing import Final
from uuid import uuid4

from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User

from tests.benchmarks.names import PASSWORD

BATCH: Final = 500


def new_users() -> Iterator[User]:
    """Yield users who have never signed in, without end."""
    hashed, group = make_password(PASSWORD), uuid4().hex[:8]
    for first in count(step=BATCH):
        yield from User.objects.bulk_create(
            User(username=f"user{group}-{number}", password=hashed)
            for number in range(first, first + BATCH)
        )
