"""How log records look: one line of JSON each in production, one readable line each at a terminal.

Whatever a stranger puts into a name or an address stays inside its record.
"""

import logging
from dataclasses import asdict
from typing import Any, Final

from celery import current_task
from django.http import HttpRequest
from pythonjsonlogger.json import JsonFormatter

from authx.context import CONTEXT_KEY, current_context

# All that leaves the process. Other attributes may hold requests, whose printed form shows the
# query string, or arguments of tasks.
FIELDS: Final = frozenset(
    [
        *("timestamp", "level", "logger", "message", "exc_info", "stack_info", "pid"),
        *("event", "outcome", "user_id", "session_id", "reason"),
        *("ip", "user_agent", "request_id", "method", "path"),
        *("task", "task_id", "status_code"),
    ]
)


class ContextFilter(logging.Filter):
    """Adds what is known of the request, or of the task, that a record was written in."""

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


class JSONFormatter(JsonFormatter):
    """One line of ASCII a record: no line break, control or reversing character in it."""

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
    """One line a record; the lines of a traceback are indented, so that none passes for one."""

    def formatMessage(self, record: logging.LogRecord) -> str:  # noqa: N802 -- logging's name
        request_id = getattr(record, "request_id", "")
        number = f" [{request_id}]" if request_id else ""
        return _escaped(super().formatMessage(record) + number)

    def formatException(self, ei: Any) -> str:  # noqa: N802 -- logging's name
        lines = super().formatException(ei).splitlines()
        return "\n".join(f"    {_escaped(line)}" for line in lines)


def _escaped(text: str) -> str:
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )
