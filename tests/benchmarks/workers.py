"""The processes of the measured projects, as the one that coordinates them sees them."""

import json
import os
import select
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

from tests.benchmarks.servers import Servers

ROOT: Final = Path(__file__).resolve().parent.parent.parent
PATIENCE: Final = 60  # seconds


class Worker:
    """One process of a project, on a database that is there already."""

    def __init__(self, servers: Servers, project: str, database: str) -> None:
        self.project = project
        environment = servers.environment(database) | {
            "BENCH_PROJECT": project,
            "DJANGO_SETTINGS_MODULE": "tests.benchmarks.settings",
            "PYTHONHASHSEED": "0",
            "PYTHONWARNINGS": "ignore",
        }
        self.process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.worker"],
            cwd=ROOT,
            env=os.environ | environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self.process.stdin
        assert self.process.stdout
        self.commands, self.replies = self.process.stdin, self.process.stdout

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if error:
            self.process.kill()
        else:
            self.commands.close()
        self.process.wait(timeout=PATIENCE)
        self.replies.close()

    def send(self, command: str, **arguments: Any) -> None:
        line = json.dumps({"command": command} | arguments) + "\n"
        self.commands.write(line.encode())
        self.commands.flush()

    def receive(self) -> Any:
        line = self.replies.readline()
        assert line, f"the process of {self.project} ended"
        return json.loads(line)

    def ask(self, command: str, **arguments: Any) -> Any:
        """Send a command and wait for its reply."""
        self.send(command, **arguments)
        return self.receive()

    @property
    def has_replied(self) -> bool:
        return bool(select.select([self.replies], [], [], 0)[0])
