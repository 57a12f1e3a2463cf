"""Formats of log records: one line of JSON in production, one readable line in a terminal.

A value from a request cannot start a new record.
"""

import logging
from dataclasses import asdict
from typing import Any, Final

from celery import current_task
from django.http import HttpRequest
from pythonjsonlogger.json import JsonFormatter

from authx.context import CONTEXT_KEY, current_context

# The only fields that are logged. Other attributes may contain requests, whose repr() shows the
# query string, or arguments of tasks.
FIELDS: Final = frozenset(
    [
        *("timestamp", "level", "logger", "message", "exc_info", "stack_info", "pid"),
        *("event", "outcome", "user_id", "session_id", "generation", "reason"),
        *("ip", "user_agent", "request_id", "method", "path"),
        *("task", "task_id", "status_code"),
    ]
)


class ContextFilter(logging.Filter):
    """Adds the context of the request, or of the task, in which a record was written."""

    def filter(self, record: logging.LogRecord) -> bool:
        request = getattr(record, "request", None)
        source = current_context()
        if isinstance(request, HttpRequest):
            source = request.META.get(CONTEXT_KEY, source)
        for name, value in asdict(source).items():
            if not hasattr(record, name):
                setattr(record, name, value)
        if current_task:
            record.task = current_task.name
            record.task_id = current_task.request.id
        return True


class RefusalFilter(logging.Filter):
    """Makes one line of a request that Django refuses by itself, such as one of an unknown host.

    Django logs an error with a traceback. Strangers cause it at will, and nobody has to act on it.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        if record.name.startswith("django.security."):
            record.levelno, record.levelname = logging.WARNING, "WARNING"
            record.exc_info = record.exc_text = None
        return True


class JSONFormatter(JsonFormatter):
    """Formats a record as one line of ASCII, without control and bidirectional characters."""

    def __init__(self, **options: Any) -> None:
        super().__init__(
            "%(levelname)s %(name)s %(message)s %(process)d",
            rename_fields={"levelname": "level", "name": "logger", "process": "pid"},
            timestamp=True,
            **options,
        )

    def add_fields(
        self, log_data: dict[str, Any], record: logging.LogRecord, message_dict: dict[str, Any]
    ) -> None:
        super().add_fields(log_data, record, message_dict)
        for name in set(log_data) - FIELDS:
            del log_data[name]


class LineFormatter(logging.Formatter):
    """Formats a record as one line; the lines of a traceback are indented, unlike a record."""

    def formatMessage(self, record: logging.LogRecord) -> str:
        request_id = getattr(record, "request_id", "")
        number = f" [{request_id}]" if request_id else ""
        return _escaped(super().formatMessage(record) + number)

    def formatException(self, ei: Any) -> str:
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"    {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
