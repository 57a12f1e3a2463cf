"""The TypeScript client of the guide, against a real server and a network that loses answers."""

import json
import shutil
import subprocess
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.hashers import make_password
from django.contrib.auth.models import User
from django.utils import timezone

from authx.models import DeviceSession, RevocationReason
from authx.sessions.revocation import revoke_all
from backend.local.ports import HOST
from tests.phone import PASSWORD
from tests.web_server import ROOT, of_this_run, web_server

CLIENTS = ROOT / "tests" / "clients"
# Types are all that a runtime without a compiler has to strip.
STRICT = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--erasableSyntaxOnly", "--verbatimModuleSyntax", "--skipLibCheck"),
    *("--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"),
    *("--lib", "es2022,dom", "--types", "node", "--rootDir", str(ROOT)),
)

pytestmark = [
    pytest.mark.postgresql,
    pytest.mark.django_db(transaction=True),
    pytest.mark.skipif(not shutil.which("node"), reason="no Node here"),
]


@pytest.fixture
def url(tmp_path: Path, transactional_db: None) -> Iterator[str]:
    with web_server(tmp_path, **of_this_run()) as server:
        yield f"http://{HOST}:{server.port}"


@pytest.fixture
def person(transactional_db: None) -> User:
    """Return somebody whose password the server's own hashers know, unlike the quick one here."""
    password = make_password(PASSWORD, hasher="pbkdf2_sha256")
    return User.objects.create(username="alice", password=password)


def expire() -> None:
    DeviceSession.objects.update(expiry=timezone.now() - timedelta(seconds=1))


def revoke() -> None:
    for user in User.objects.all():
        revoke_all(user_id=user.pk, reason=RevocationReason.ENDED_BY_OPERATOR)


def driven(program: Path, *arguments: str, **deeds: Callable[[], None]) -> Any:
    """Run a driver to its end, doing at the server what it asks for; returns what it reports."""
    with subprocess.Popen(
        ["node", program, *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdin
        assert process.stdout
        said = ""
        for line in process.stdout:
            said = line
            if deed := deeds.get(line.strip()):
                deed()
                process.stdin.write("done\n")
                process.stdin.flush()
    assert process.returncode == 0
    return json.loads(said)


def test_nobody_is_signed_out_who_should_not_be(url: str, person: User, tmp_path: Path) -> None:
    compiler = CLIENTS / "node_modules" / "typescript" / "bin" / "tsc"
    program = CLIENTS / "drive_session.ts"
    compile_it = ("node", compiler, *STRICT, "--outDir", tmp_path, program)
    subprocess.run(compile_it, cwd=CLIENTS, check=True)
    (tmp_path / "package.json").write_text('{"type": "module"}')
    driver = tmp_path / "tests" / "clients" / "drive_session.js"
    report = driven(driver, url, person.username, PASSWORD, expire=expire, revoke=revoke)
    assert report == {
        "wrong_password": "invalid_grant",
        "sign_in_page": True,
        "fresh": {"refreshes": 0, "outcomes": ["200"]},
        "expired": {"refreshes": 1, "outcomes": ["200"]},
        "lost_answers": {"refreshes": 3, "outcomes": ["200"]},
        "server_away": {"refreshes": 2, "outcomes": ["200"]},
        "gateway_pages": {"refreshes": 4, "outcomes": ["200"]},
        "two_processes": [200, 200],
        "late_answer": {"status": 200, "kept": True},
        "led_astray": {"sent": 0, "strangers": []},
        "revoked": {"refreshes": 1, "outcomes": ["SignedOut"]},
        "told_signed_out": 1,
        "stored_after": None,
        "used_before_stored": 0,
        "signed_out": {"under_way": True, "stored": None, "had": True},
    }
    assert not DeviceSession.objects.unrevoked().exists()
