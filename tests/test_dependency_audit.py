"""A pinned package with a known weakness fails the gate; silence of the service is told aloud."""

import json
import subprocess
from collections.abc import Callable, Iterator
from typing import Any
from unittest import mock

import pytest

from tests.audit import audit

CLEAN = {"name": "kombu", "version": "5.5", "vulns": []}
WEAK = {
    "name": "django",
    "version": "5.2.0",
    "vulns": [{"id": "PYSEC-2026-1", "fix_versions": ["5.2.1"]}],
}
UNKNOWN = {"name": "csp", "skip_reason": "not found"}


@pytest.fixture
def answer() -> Iterator[Callable[..., None]]:
    """Return a function that says what pip-audit is to answer."""
    with mock.patch("tests.audit.subprocess.run") as run:

        def say(stdout: str, stderr: str = "") -> None:
            run.return_value = subprocess.CompletedProcess([], 1, stdout, stderr)

        yield say


@pytest.mark.parametrize(
    ("packages", "code", "told"),
    [
        ([CLEAN], 0, ""),
        ([CLEAN, WEAK], 1, "WEAK: django 5.2.0 has PYSEC-2026-1"),
        ([CLEAN, UNKNOWN], 0, "NOT AUDITED: 1 of 2 packages"),
        ([WEAK, UNKNOWN], 1, "NOT AUDITED: 1 of 2 packages"),
    ],
)
def test_a_vulnerability_fails_and_an_unknown_package_is_reported(
    answer: Callable[..., None], capsys: Any, packages: list[Any], code: int, told: str
) -> None:
    answer(json.dumps({"dependencies": packages}))
    assert audit([]) == code
    said = capsys.readouterr().out
    assert told in said
    assert bool(said) is bool(told)


def test_an_unreachable_service_is_reported(answer: Callable[..., None], capsys: Any) -> None:
    answer("", "Traceback\n ...\nConnectionError: no such host")
    assert audit([]) == 0
    assert capsys.readouterr().out.startswith("NOT AUDITED")
