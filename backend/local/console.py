"""What honcho prints to: passes every line on, and hears from them how the stack is doing."""

import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event
from typing import TextIO

from honcho.manager import SYSTEM_PRINTER_NAME
from honcho.printer import Message, Printer

from backend.local.launch import PAUSE

STARTED = re.compile(r"(?P<name>\w+) started \(pid=(?P<pid>\d+)\)")
STOPPING = re.compile(r"sending SIGTERM to (?P<name>\w+) \(pid")
ENDED = re.compile(r"(?P<signal>SIG\w+) received|(?P<name>\w+) stopped \(rc=(?P<code>-?\d+)\)")
# What Celery says last when it starts.
LAST_WORDS = {"worker": b" ready.", "beat": b"beat: Starting..."}
SERVERS = {"postgres", "valkey"}
# Less than honcho's own, which ends in SIGKILL after 5 seconds.
CLIENTS_PATIENCE = 3  # seconds


class Console:
    """A printer for honcho.manager.Manager, which says in words, and only so, what happens."""

    def __init__(
        self, output: TextIO, *, process_count: int, on_started: Callable[[], None]
    ) -> None:
        self.printer = Printer(output)
        self.process_count = process_count
        self.on_started = on_started
        self.width = 0  # honcho sets it to the longest name's
        self.pids: dict[str, int] = {}
        self.ready = {name: Event() for name in LAST_WORDS}
        self.end: re.Match[str] | None = None

    def write(self, message: Message) -> None:
        self.printer.width = self.width
        # The terminal may be gone (SIGHUP), or a signal may have come in the middle of a line:
        # the stack still has to be taken down.
        with suppress(OSError, RuntimeError):
            self.printer.write(message)
        if message.name == SYSTEM_PRINTER_NAME:
            self.hear_honcho(message.data)
        elif message.name in LAST_WORDS and LAST_WORDS[message.name] in message.data:
            self.ready[message.name].set()

    def say(self, text: str) -> None:
        """Print a text without honcho's prefix, unless the stack is going down."""
        if not self.end:
            with suppress(OSError):
                print(text, file=self.printer.output, flush=True)

    def hear_honcho(self, line: str) -> None:
        self.end = self.end or ENDED.match(line)
        if started := STARTED.match(line):
            self.pids[started["name"]] = int(started["pid"])
            if len(self.pids) == self.process_count:
                self.on_started()
        elif stopping := STOPPING.match(line):
            self.prepare_stop(stopping["name"])

    def prepare_stop(self, name: str) -> None:
        """Do what has to precede the SIGTERM that honcho is about to send."""
        if name in SERVERS:
            self.wait_for_clients()
        if name == "postgres":
            # To PostgreSQL, SIGTERM is "when the last client has left", and SIGINT "now".
            with suppress(ProcessLookupError):
                os.kill(self.pids[name], signal.SIGINT)

    def wait_for_clients(self) -> None:
        """Let the clients, told to stop already, go first: none is to miss its server."""
        deadline = time.monotonic() + CLIENTS_PATIENCE
        clients = [pid for name, pid in self.pids.items() if name not in SERVERS]
        while any(map(is_alive, clients)) and time.monotonic() < deadline:
            time.sleep(PAUSE)


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True
