"""Programs on Node that drive a client, and ask for what only the server can do."""

import json
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.web_server import ROOT

CLIENTS = ROOT / "tests" / "clients"

needs_node = pytest.mark.skipif(
    not (shutil.which("node") and (CLIENTS / "node_modules").is_dir()),
    reason="no Node here, or no tests/clients/node_modules",
)


def run_driver(program: Path, *arguments: str, **deeds: Callable[[], None]) -> Any:
    """Run a program to its end, doing what each line names; return the last line, its report."""
    with subprocess.Popen(
        ["node", program, *arguments],
        cwd=CLIENTS,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        line = ""
        for line in process.stdout:
            if deed := deeds.get(line.strip()):
                deed()
                process.stdin.write("done\n")
                process.stdin.flush()
    assert process.returncode == 0
    return json.loads(line)
