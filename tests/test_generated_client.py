"""A typed client, generated from the committed description, compiles and does what an app does."""

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import User

from tests.node_driver import CLIENTS, needs_node
from tests.phone import PASSWORD
from tests.source_code import ROOT

pytestmark = [
    pytest.mark.waits,
    pytest.mark.django_db(transaction=True),
    needs_node,
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
