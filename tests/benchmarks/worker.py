"""The process of one measured project: executes the commands that it reads from standard input."""

import gc
import json
import os
import sys
from typing import Any

import django
from django.core.management import call_command
from django.utils.module_loading import import_string

from tests.benchmarks.projects import PROJECTS


def main() -> None:
    # Whatever a system prints must not be taken for a reply.
    replies = os.fdopen(os.dup(1), "w", buffering=1)
    os.dup2(2, 1)
    django.setup()
    call_command("migrate", verbosity=0)
    # The models of the project can be imported only now.
    name = os.environ["BENCH_PROJECT"]
    commands = import_string(PROJECTS[name].commands)(name)
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        command: dict[str, Any] = json.loads(line)
        answer = getattr(commands, command.pop("command"))(**command)
        replies.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
