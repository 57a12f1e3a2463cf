"""A typed client, generated from the committed description, compiles and does what an app does."""

import json
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.phone import PASSWORD

ROOT = Path(__file__).resolve().parent.parent
CLIENTS = ROOT / "tests" / "clients"

pytestmark = [
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("node"), reason="no Node here"),
]


def run(*command: str | Path) -> str:
    ran = subprocess.run(command, cwd=CLIENTS, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran.stdout


def test_a_generated_client_compiles_signs_in_refreshes_and_signs_out(
    live_server: Any, alice: User
) -> None:
    run("npx", "openapi-typescript", ROOT / "schema.yaml", "--output", "build/schema.d.ts")
    run("npx", "tsc")
    told = run("node", "build/typed_client.js", live_server.url, alice.username, PASSWORD)
    assert json.loads(told) == {
        "rotated": True,
        "username": "alice",
        "device": "Typed client",
        "logout": 204,
        "after": "invalid_grant",
    }
