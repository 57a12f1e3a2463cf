"""What refreshes write: bytes of WAL, and how many updates spare the indexes (HOT)."""

import time
from typing import Any, Final

from django.db import connection

from authx.models import DeviceSession
from tests.benchmarks.operations import check, error_body
from tests.benchmarks.seeding import settle
from tests.benchmarks.systems import Tokens
from tests.benchmarks.systems.authx import App

# A session refreshes again when its grace period (ten seconds) is over, as in life.
GRACE_PERIOD: Final = 10.5
UPDATES: Final = """
SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables WHERE relname = %s
"""
WAL: Final = "SELECT wal_bytes, wal_fpi FROM pg_stat_get_backend_wal(pg_backend_pid())"


def measure_storage(app: App, sessions: int, passes: int) -> dict[str, Any]:
    """Refresh and then use many sessions, several times, each once a pass.

    The server writes no image of a page after a checkpoint, but for checksums of hint bits; those
    fall into the first pass, which is not measured, and `full_page_images` tells of others.
    """
    app.sessions.fill(sessions)
    settle()
    tokens: list[Tokens] = list(app.sessions.waiting)
    tokens = refresh(app, tokens)
    use(app, tokens)
    began = read(UPDATES, DeviceSession._meta.db_table)
    wal_bytes = full_page_images = 0
    for _ in range(passes):
        time.sleep(GRACE_PERIOD)
        before = read(WAL)
        tokens = refresh(app, tokens)
        after = read(WAL)
        use(app, tokens)
        wal_bytes += after[0] - before[0]
        full_page_images += after[1] - before[1]
    ended = read(UPDATES, DeviceSession._meta.db_table)
    return {
        "wal_bytes": float(wal_bytes) / (sessions * passes),
        "full_page_images": full_page_images,
        "updates": ended[0] - began[0],
        "hot_updates": ended[1] - began[1],
    }


def refresh(app: App, tokens: list[Tokens]) -> list[Tokens]:
    return [error_body(app.refreshing(one)()) for one in tokens]


def use(app: App, tokens: list[Tokens]) -> None:
    for one in tokens:
        check(app.pinging(one)())


def read(statement: str, *parameters: str) -> tuple[Any, ...]:
    """Return a row of PostgreSQL's statistics, with what this connection has not told it yet."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_stat_force_next_flush()")
        cursor.execute("SELECT pg_stat_clear_snapshot()")
        cursor.execute(statement, parameters or None)
        row: tuple[Any, ...] = cursor.fetchone()
    return row
