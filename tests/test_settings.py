"""The project's own settings: what the environment may say, and what it may not leave out."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def read_setting(tmp_path: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Return a function that reads a setting in a process with just this environment."""

    def read(expression: str, **environment: str) -> subprocess.CompletedProcess[str]:
        code = f"from backend import settings; print({expression})"
        base = {"PATH": os.environ["PATH"], "LOCAL_DIR": str(tmp_path)}
        return subprocess.run(
            [sys.executable, "-c", code],
            env=base | environment,
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )

    return read


@pytest.mark.parametrize("environment", [{}, {"SECRET_KEY": ""}])
def test_no_start_with_a_database_but_without_a_key(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    url = "postgres://db.invalid/app"
    started = read_setting("settings.SECRET_KEY", DATABASE_URL=url, **environment)
    assert started.returncode != 0
    assert "SECRET_KEY" in started.stderr.splitlines()[-1]
    assert read_setting("1", DATABASE_URL=url, SECRET_KEY="k" * 60).returncode == 0


def test_a_machine_without_configuration_keeps_the_key_it_made(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    first, second = (read_setting("settings.SECRET_KEY").stdout for _ in range(2))
    assert first == second
    assert len(first) > 60
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0


def test_a_trailing_comma_makes_no_empty_key(
    read_setting: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    keys = read_setting("settings.SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS="older,")
    assert keys.stdout == "['older']\n"


def test_tls_is_asked_for_wherever_there_is_a_database(
    read_setting: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    served = {"DATABASE_URL": "postgres://db.invalid/app", "SECRET_KEY": "k" * 60}
    assert read_setting("settings.SECURE_SSL_REDIRECT", **served).stdout == "True\n"
    assert read_setting("settings.SECURE_SSL_REDIRECT").stdout == "False\n"
