"""A whole project in one file: migrates, signs in, refreshes, sweeps; over WSGI, ASGI and tasks.

It needs the wheel of authx, and the page with the code of tasks (GUIDE is its path). With PGHOST,
the directory of a socket, it uses PostgreSQL, otherwise SQLite.
"""

import asyncio
import os
import platform
import re
import sys
import tempfile
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import django
from django.contrib.auth import get_user_model
from django.core import mail
from django.core.management import call_command
from django.db import connection
from django.test import AsyncClient, Client

FLAGS = re.MULTILINE | re.DOTALL
PASSWORD = "correct horse battery staple"


def sign_in(client: Any) -> dict[str, Any]:
    device = {"name": "phone", "installation_id": "phone"}
    body = {"username": "alice", "password": PASSWORD, "device": device}
    answer = client.post("/users/login", body, content_type="application/json")
    assert answer.status_code == 200, answer.content
    pair: dict[str, Any] = answer.json()
    return pair


def tell_story(client: Any) -> None:
    """Live through a session, to the detection of a stolen token."""
    first = sign_in(client)
    grant = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
    keyed = {"content_type": "application/json", "headers": {"idempotency-key": "a-key-of-the-app"}}
    second = client.post("/users/token", grant, **keyed).json()
    assert (
        client.post("/users/token", grant, **keyed).json()["access_token"] == second["access_token"]
    )
    bearer = {"authorization": f"Bearer {second['access_token']}"}
    for endpoint in ("me", "devices", "activity"):
        answer = client.get(f"/users/{endpoint}", headers=bearer)
        assert answer.status_code == 200, answer.content
    changed = {"current_password": PASSWORD, "new_password": PASSWORD + "!"}
    answer = client.post(
        "/users/password", changed, content_type="application/json", headers=bearer
    )
    assert answer.status_code == 200, answer.content
    assert client.get("/users/me", headers=bearer).status_code == 401
    assert client.post("/users/token", grant, content_type="application/json").status_code == 400
    faults: list[Any] = [{}, [], {"username": ["x"]}, {"username": "alice", "password": "wrong"}]
    for fault in faults:
        answer = client.post("/users/login", fault, content_type="application/json")
        assert (answer.status_code, "error" in answer.json()) == (400, True), answer.content
    assert client.get("/.well-known/oauth-authorization-server").status_code == 200


async def tell_async(client: Any) -> None:
    answer = await client.get("/users/me")
    assert answer.status_code == 401
    assert answer.json()["error"] == "unauthorized"


def run_tasks() -> None:
    """Sweep and send by Django's Tasks, with the code of docs/operations.md."""
    guide = Path(os.environ["GUIDE"]).read_text()
    (section,) = re.findall(r"^### Django's Tasks.*?(?=^## )", guide, FLAGS)
    blocks = re.findall(r"^```python\n(.+?)^```$", section, FLAGS)
    with tempfile.TemporaryDirectory() as directory:
        Path(directory, "accounts_tasks.py").write_text("\n\n".join(blocks))
        sys.path.insert(0, directory)
        tasks = import_module("accounts_tasks")
    for task in (tasks.sweep, tasks.send_notifications):
        result = task.enqueue()
        assert result.status == "SUCCESSFUL", result.errors


def main() -> None:
    django.setup()
    call_command("check", fail_level="WARNING")
    call_command("migrate", verbosity=0)
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
    users = get_user_model()._default_manager
    users.create_user("alice", "alice@example.com", PASSWORD)
    tell_story(Client())
    asyncio.run(tell_async(AsyncClient()))
    has_tasks = find_spec("django.tasks") is not None
    if has_tasks:
        run_tasks()
    else:
        call_command("sweep")
        call_command("send_notifications")
    assert len(mail.outbox) == 1, "a password has changed"
    users.get().delete()
    # Neither is needed: limits count in memory, and the project chooses its hasher.
    assert {name for name in ("redis", "argon2", "drf_spectacular") if name in sys.modules} == set()
    names = ("django", "djangorestframework")
    versions = " ".join(f"{name} {version(name)}" for name in names)
    sys.stdout.write(
        f"Python {platform.python_version()} {versions} {database()} tasks={has_tasks}\n"
    )


def database() -> str:
    with connection.cursor() as cursor:
        cursor.execute(
            "SHOW server_version" if "PGHOST" in os.environ else "SELECT sqlite_version()"
        )
        row = cursor.fetchone()
    return f"{connection.vendor} {row[0]}"


if __name__ == "__main__":
    main()
