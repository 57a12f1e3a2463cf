"""Django's PostgreSQL backend, which gives up a statement that has no answer after a while.

Without it, a database server that freezes holds every thread of the web server, and each request
hangs instead of being answered 503.

The server's own limits (`statement_timeout`) do not hold where the server itself hangs, and
PgBouncer refuses them as start-up parameters; the network's (`tcp_user_timeout`) see no fault in a
process that merely sleeps. So whoever waits has to be the one who stops waiting.
"""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

# To ask a server that is alive to stop what nobody waits for any more.
CANCEL_PATIENCE: Final = 1.0  # seconds


class TimeoutConnection(psycopg.Connection[Any]):
    """Waits for each answer as long as DATABASE_TIMEOUT; then it is closed, and raises."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        patience: Any = settings.DATABASE_TIMEOUT
        try:
            return super().wait(gen, interval, timeout or patience.total_seconds())
        except psycopg.OperationalError:
            # An error that PostgreSQL itself tells ends the statement; this one still runs.
            if not self.closed and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self._give_up()
            raise

    def _give_up(self) -> None:
        # Its locks would outlive us otherwise: PostgreSQL notices only when it has an answer.
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=CANCEL_PATIENCE)
        # Not to be used again: the late answer would be taken for that to the next statement.
        self.close()


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects impatiently; `Database` is the driver as Django knows it."""

    Database = SimpleNamespace(**vars(psycopg) | {"connect": TimeoutConnection.connect})
