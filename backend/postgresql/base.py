"""Django's PostgreSQL backend with a timeout for each query on the client side.

Without it, a database server that freezes blocks every thread of the web server, and requests hang
instead of getting a 503.

The timeouts of the server (`statement_timeout`) do not work if the server itself hangs, and
PgBouncer refuses them as start-up parameters. Those of the network (`tcp_user_timeout`) do not
notice a process that is suspended.
"""

from contextlib import suppress
from types import SimpleNamespace
from typing import Any, Final

import psycopg
from django.conf import settings
from django.db.backends.postgresql import base
from psycopg.pq import TransactionStatus

# For the request to cancel the query on the server.
CANCEL_TIMEOUT: Final = 1.0  # seconds
# How long a request waits for a connection of the pool; psycopg's own default is half a minute.
POOL_TIMEOUT: Final = 3.0  # seconds


class TimeoutConnection(psycopg.Connection[Any]):
    """Waits at most DATABASE_TIMEOUT, if set, for each result; then it is closed, and raises."""

    def wait(self, gen: Any, interval: float = 0.1, timeout: float | None = None) -> Any:
        default: Any = settings.DATABASE_TIMEOUT
        if timeout is None and default:
            timeout = default.total_seconds()
        try:
            return super().wait(gen, interval, timeout)
        except psycopg.OperationalError:
            # An error of PostgreSQL ends the query; after a timeout it is still active.
            if not self.closed and self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self._abandon()
            raise

    def _abandon(self) -> None:
        # Otherwise its locks would stay: PostgreSQL notices a closed connection only when it sends.
        with suppress(psycopg.Error):
            self.cancel_safe(timeout=CANCEL_TIMEOUT)
        # A late result would be taken for that of the next query.
        self.close()


class DatabaseWrapper(base.DatabaseWrapper):
    """Connects with TimeoutConnection, also in a pool; `Database` is the driver Django uses."""

    Database = SimpleNamespace(**vars(psycopg) | {"connect": TimeoutConnection.connect})

    def __init__(self, settings_dict: dict[str, Any], *args: Any, **kwargs: Any) -> None:
        options = settings_dict.get("OPTIONS", {})
        if pool := options.get("pool"):
            ours = {"connection_class": TimeoutConnection, "timeout": POOL_TIMEOUT}
            own = pool if isinstance(pool, dict) else {}
            settings_dict = settings_dict | {"OPTIONS": options | {"pool": ours | own}}
        super().__init__(settings_dict, *args, **kwargs)
