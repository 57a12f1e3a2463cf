"""The oldest and the newest versions of the matrix, which `make matrix` runs as a whole."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.matrix import noxfile
from tests.web_server import ROOT

pytestmark = pytest.mark.waits

FILE = ("--noxfile", ROOT / "tests" / "matrix" / "noxfile.py")


def test_the_oldest_and_the_newest_versions_work(tmp_path: Path) -> None:
    tools = Path(sys.executable).parent
    path = os.pathsep.join([str(tools), os.environ["PATH"]])
    ran = subprocess.run(
        [tools / "nox", *FILE, "--tags", "corners", "--envdir", tmp_path, "--non-interactive"],
        cwd=ROOT,
        env=os.environ | {"PATH": path, "PYTHONWARNINGS": "default"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    for python, django, _ in noxfile.CORNERS:
        # With what the file of the matrix has found.
        is_here = shutil.which(f"python{python}") is not None
        assert bool(re.search(rf"Python {python}\.\d+ django {django}\.", ran.stdout)) == is_here
