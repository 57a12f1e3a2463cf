"""No request waits for what another one leaves to the garbage collector, or computes."""

import subprocess
import sys
from pathlib import Path

from tests.web_server import ROOT, environment

# What the worker does once its application is loaded, and what is then looked through at a full
# collection, as a share of all objects.
SCRIPT = """
import gc, sys
from unittest.mock import Mock
import backend.wsgi
from backend.gunicorn import post_worker_init
post_worker_init(Mock(**{"cfg.threads": 4}))
print(len(gc.get_objects()) / gc.get_freeze_count(), sys.getswitchinterval())
"""


def test_a_worker_looks_through_none_of_what_stays_and_changes_threads_soon(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-W", "ignore", "-c", SCRIPT]
    done = subprocess.run(
        command, cwd=ROOT, env=environment(tmp_path), capture_output=True, text=True, check=True
    )
    share, interval = map(float, done.stdout.split())
    assert share < 0.05
    assert interval <= 0.001
