"""Answers that depend on what an earlier transaction wrote wait until a failover cannot undo it."""

from typing import Final

from django.db import connections
from django.db.models import F

from authx.models import SweepLease, write_alias


def require_writable() -> None:
    """Raise django.db.Error if the database accepts no writes; nothing is written."""
    # No row has this key. A standby and a read-only server refuse the statement all the same.
    SweepLease.objects.filter(pk=0).update(leased_until=F("leased_until"))


# The smallest write that a commit waits for; without it, there is nothing to wait for.
SMALLEST_WRITE: Final = {"postgresql": "SELECT pg_logical_emit_message(true, 'authx', '')"}
# Other databases are not meant for several nodes.
NO_WRITE: Final = "SELECT 1"


def wait_for_standby() -> None:
    """Return once all that was read before is on the synchronous standby too, if there is one.

    PostgreSQL shows a commit to others as soon as its wait for the standby ends, also where a
    timeout or a restart has ended it and the standby has nothing. Without this, the retry would get
    the answer that the first try rightly did not get, and a failover would make it untrue: a pair
    that the new primary does not know, a sign-out that it has not seen. A later commit waits for
    everything before it. Inside a transaction, the commit of that transaction waits.
    """
    connection = connections[write_alias()]
    with connection.cursor() as cursor:
        cursor.execute(SMALLEST_WRITE.get(connection.vendor, NO_WRITE))
