"""`make` installs what it needs, or says in one line why it cannot."""

import os
import subprocess
from pathlib import Path
from subprocess import PIPE, STDOUT

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Stands in for a Python that makes an environment in which pip reaches no package index.
OFFLINE = """#!/bin/sh
test "$2" = venv || exit 0
mkdir -p "$3/bin"
printf '#!/bin/sh\\nexit 1\\n' > "$3/bin/python"
chmod +x "$3/bin/python"
"""


def script(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def make_run(venv: Path, python: Path | str) -> tuple[int, str]:
    """Return the exit status and the last line before that of make itself."""
    ended = subprocess.run(
        ["make", "run", f"VENV={venv}", f"PYTHON={python}"],
        cwd=ROOT,
        # Not as part of the make that may run the tests, which numbers its lines.
        env={name: value for name, value in os.environ.items() if not name.startswith("MAKE")},
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
        check=False,
    )
    return ended.returncode, ended.stdout.splitlines()[-2]


@pytest.mark.parametrize("text", ["#!/bin/sh\nexit 1\n", None], ids=["too old", "missing"])
def test_python_that_is_too_old_or_missing_is_one_line(tmp_path: Path, text: str | None) -> None:
    python = script(tmp_path / "python", text) if text else "python3.99"
    status, line = make_run(tmp_path / "venv", python)
    assert status != 0
    assert line == "Python 3.11 or newer is needed: name one, as in PYTHON=python3.12."
    assert not (tmp_path / "venv").exists()


def test_package_index_out_of_reach_of_pip_is_one_line(tmp_path: Path) -> None:
    status, line = make_run(tmp_path / "venv", script(tmp_path / "python", OFFLINE))
    assert status != 0
    assert line == "requirements/uv.txt is not installed: is the package index within reach?"


def test_package_index_out_of_reach_of_uv_is_one_line(tmp_path: Path) -> None:
    venv = tmp_path / "venv"
    script(venv / "bin/uv", "#!/bin/sh\nexit 2\n")
    (venv / ".uv").touch()
    status, line = make_run(venv, "python3")
    assert status != 0
    assert line.startswith("requirements/local.txt is not installed: is the package index")
    # The next run tries again.
    assert not (venv / ".local").exists()
