"""The commands of the documentation, run by curl."""

import json
import os
import subprocess
from typing import Any


def run_curl(command: str, server: str, variables: dict[str, str]) -> Any:
    """Run a command as it stands, but at this server; returns the document of the response."""
    ran = subprocess.run(
        ["bash", "-c", command.replace("http://127.0.0.1:8000", server)],
        env=os.environ | variables,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(ran.stdout or "{}")
