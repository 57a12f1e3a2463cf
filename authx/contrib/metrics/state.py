"""What a scrape reads: how late sweep and mail are, and whether database and counters respond."""

import logging
from collections.abc import Iterator
from typing import Final

from django.db import Error
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from authx.audit.notifications import oldest_notification_age
from authx.sessions.durability import require_writable
from authx.sessions.sweep import sweep_lag
from authx.throttling.store import store

logger = logging.getLogger(__name__)

DATABASE: Final = "authx_database_up"
STORE: Final = "authx_rate_limit_store_up"
OVERDUE: Final = "authx_oldest_overdue_row_seconds"
UNSENT: Final = "authx_oldest_unsent_notification_seconds"


class StateCollector(Collector):
    """Reads the database and tries the counters at each scrape."""

    def collect(self) -> Iterator[Metric]:
        """Yield the ages only if the database is there: an alert must not see a false zero."""
        yield GaugeMetricFamily(
            STORE,
            "1 if rate limits count for all processes, 0 if each process counts by itself.",
            value=store().is_available(),
        )
        try:
            require_writable()
            lags, unsent = sweep_lag(), oldest_notification_age()
        except Error as error:
            logger.warning("metrics without a database, %s", type(error).__name__)
            yield GaugeMetricFamily(DATABASE, "1 if the database accepts writes.", value=0)
            return
        yield GaugeMetricFamily(DATABASE, "1 if the database accepts writes.", value=1)
        overdue = GaugeMetricFamily(
            OVERDUE,
            "For how long the oldest expired row has waited for the sweep.",
            labels=["table"],
        )
        for table, lag in lags.items():
            overdue.add_metric([table], lag.total_seconds())
        yield overdue
        yield GaugeMetricFamily(
            UNSENT, "How long the oldest unsent mail has waited.", value=unsent.total_seconds()
        )
