"""Counts SQL statements where nothing can be forgotten: in what libpq sends to the server."""

import tempfile
from collections.abc import Callable
from typing import Any

from django.db import connection
from psycopg.pq import Trace


def count_statements(call: Callable[[], Any]) -> tuple[Any, int]:
    """Return what a call returns, and how many statements it sent, transaction control included."""
    connection.ensure_connection()
    pgconn = connection.connection.pgconn
    with tempfile.TemporaryFile("w+") as trace:
        pgconn.trace(trace.fileno())
        pgconn.set_trace_flags(Trace.SUPPRESS_TIMESTAMPS)
        try:
            answer = call()
        finally:
            pgconn.untrace()
        trace.seek(0)
        return answer, sum(map(is_statement, trace))


def is_statement(line: str) -> bool:
    """Say whether a traced message goes to the server ("F") and executes something there."""
    sender, _, message = line.partition("\t")
    return sender == "F" and message.split("\t")[1:2] in (["Query"], ["Execute"])
