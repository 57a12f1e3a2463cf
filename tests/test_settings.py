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


def test_mail_is_printed_on_a_machine_of_ones_own_and_in_no_other_log(
    read_setting: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    name = "settings.EMAIL_BACKEND.split('.')[-2]"
    assert read_setting(name).stdout == "console\n"
    production = {
        "DATABASE_URL": "postgres://db.invalid/app",
        "SECRET_KEY": "k" * 60,
        "NUM_PROXIES": "0",
    }
    assert read_setting(name, **production).stdout == "dummy\n"
    sending = read_setting(name, **production, EMAIL_URL="smtp://mail.invalid")
    assert sending.stdout == "smtp\n"
    written = read_setting("settings.EMAIL_FILE_PATH", EMAIL_URL="file:////mails")
    assert written.stdout == "/mails\n"


@pytest.mark.parametrize("environment", [{}, {"SECRET_KEY": ""}])
def test_no_start_with_a_database_but_without_a_key(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], environment: dict[str, str]
) -> None:
    url = "postgres://db.invalid/app"
    started = read_setting("settings.SECRET_KEY", DATABASE_URL=url, **environment)
    assert started.returncode != 0
    assert "SECRET_KEY" in started.stderr.splitlines()[-1]
    assert read_setting("1", DATABASE_URL=url, SECRET_KEY="k" * 60, NUM_PROXIES="0").returncode == 0


def test_a_machine_without_configuration_keeps_the_key_it_made(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    first, second = (read_setting("settings.SECRET_KEY").stdout for _ in range(2))
    assert first == second
    assert len(first) > 60
    assert (tmp_path / "secret-key").stat().st_mode & 0o077 == 0


def test_the_last_newline_of_a_file_is_no_part_of_a_secret(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("from-a-file\n")
    key = read_setting("repr(settings.SECRET_KEY)", SECRET_KEY_FILE=str(file))
    assert key.stdout == "'from-a-file'\n"


def test_a_trailing_comma_makes_no_empty_key(
    read_setting: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    keys = read_setting("settings.SECRET_KEY_FALLBACKS", SECRET_KEY_FALLBACKS="older,")
    assert keys.stdout == "['older']\n"


SERVED = {
    "DATABASE_URL": "postgres://db.invalid/app",
    "SECRET_KEY": "k" * 60,
    "NUM_PROXIES": "0",
}


def test_tls_is_asked_for_wherever_there_is_a_database(
    read_setting: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    assert read_setting("settings.SECURE_SSL_REDIRECT", **SERVED).stdout == "True\n"
    assert read_setting("settings.SECURE_SSL_REDIRECT").stdout == "False\n"


@pytest.mark.parametrize("number", ["", "one", "-"])
def test_no_start_with_tls_but_without_a_number_of_proxies(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], number: str
) -> None:
    started = read_setting("settings.NUM_PROXIES", **SERVED | {"NUM_PROXIES": number})
    assert started.returncode != 0
    assert "NUM_PROXIES" in started.stderr.splitlines()[-1]


@pytest.mark.parametrize(
    ("number", "believed"), [("0", "None"), ("1", "('HTTP_X_FORWARDED_PROTO', 'https')")]
)
def test_a_claim_of_tls_is_trusted_from_a_proxy_only(
    read_setting: Callable[..., subprocess.CompletedProcess[str]], number: str, believed: str
) -> None:
    environment = SERVED | {"NUM_PROXIES": number}
    assert read_setting("settings.SECURE_PROXY_SSL_HEADER", **environment).stdout == f"{believed}\n"


def test_no_origin_is_allowed_by_default(
    read_setting: Callable[..., subprocess.CompletedProcess[str]],
) -> None:
    listed = {"CORS_ALLOWED_ORIGINS": "https://a.example.com,https://b.example.com"}
    assert read_setting("settings.CORS_ALLOWED_ORIGINS").stdout == "[]\n"
    told = read_setting("settings.CORS_ALLOWED_ORIGINS", **listed).stdout
    assert told == "['https://a.example.com', 'https://b.example.com']\n"
