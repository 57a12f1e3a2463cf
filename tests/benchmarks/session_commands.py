"""The further commands of the process with authx: storage, growth and the sweep."""

import resource
import time
from pathlib import Path
from statistics import median
from typing import Any, Final
from unittest.mock import patch

from django.db import connection

from authx.models import DeviceSession
from authx.sessions.sweep import sweep
from tests.benchmarks import names
from tests.benchmarks.commands import Commands
from tests.benchmarks.operations import Call, check
from tests.benchmarks.seeding import ENDED_AGE, add_sessions, settle
from tests.benchmarks.storage import measure_storage
from tests.benchmarks.systems.authx import App

TABLE: Final = DeviceSession._meta.db_table


class SessionCommands(Commands):
    """The commands; each takes and returns JSON."""

    def __init__(self, project: str) -> None:
        super().__init__(project)
        self.app = App()

    def add_live_sessions(self, count: int) -> int:
        add_sessions(self.app.without_installation(), count)
        return count

    def add_ended_sessions(self, count: int) -> int:
        add_sessions(self.app.without_installation(), count, age=ENDED_AGE)
        return count

    def storage(self, sessions: int, passes: int) -> dict[str, Any]:
        return measure_storage(self.app, sessions, passes)

    def fill(self, count: int) -> int:
        """Sign so many users in, somewhere among the sessions that are there already."""
        self.app.sessions.fill(count)
        settle()
        return count

    def cost(self, operation: str, calls: int) -> float:
        """Return the processor time of a call, here and in PostgreSQL, in nanoseconds."""
        times = []
        before = backend_time()
        for _ in range(calls):
            call = self.prepare(operation)
            started = time.process_time_ns()
            answer = call()
            times.append(time.process_time_ns() - started)
            check(answer)
        # Of PostgreSQL's, only the sum can be known: its clock is read from outside.
        return median(times) + (backend_time() - before) / calls

    def prepare(self, operation: str) -> Call:
        if operation == names.AUTHENTICATE:
            return self.app.pinging(self.app.sessions.again())
        return self.app.refreshing(self.app.sessions.next())

    def sign_in(self) -> float:
        """Return the seconds that a sign-in took, by the clock."""
        call = self.app.signing_in_on_a_phone()
        started = time.perf_counter()
        check(call())
        return time.perf_counter() - started

    def sweep(self) -> dict[str, float]:
        """Return the seconds that a sweep took without its pauses, and its growth in KiB."""
        before = peak_memory()
        started = time.perf_counter()
        with patch("authx.sessions.sweep.sleep"):
            sweep()
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "memory": peak_memory() - before, "left": count_ended()}

    def delete_at_once(self) -> dict[str, float]:
        """Do what the sweep does by one statement, which keeps its locks to the end."""
        before = peak_memory()
        started = time.perf_counter()
        with connection.cursor() as cursor:
            cursor.execute(f'DELETE FROM "{TABLE}" WHERE absolute_expires_at <= now()')
        seconds = time.perf_counter() - started
        return {"seconds": seconds, "memory": peak_memory() - before, "left": count_ended()}


def count_ended() -> int:
    with connection.cursor() as cursor:
        cursor.execute(f'SELECT count(*) FROM "{TABLE}" WHERE absolute_expires_at <= now()')
        count: int = cursor.fetchone()[0]
    return count


def backend_time() -> int:
    """Return the processor time of this connection's PostgreSQL process so far (Linux only)."""
    pid = connection.connection.info.backend_pid
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0])


def peak_memory() -> int:
    """Return the most that this process ever had in memory, in KiB (Linux)."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
