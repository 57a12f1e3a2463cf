"""The wheel holds `authx` alone, and a project that follows the guide signs users in with it."""

import ast
import itertools
import re
import sys
import tomllib
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path

import pytest
from packaging.requirements import Requirement

import authx
from tests.curl import run_curl
from tests.phone import PASSWORD
from tests.shop import BLOCK, ROOT, Shop, install_wheel

pytestmark = pytest.mark.waits

GUIDE = (ROOT / "docs" / "adopt.md").read_text()
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
MODULES_OF = {
    "djangorestframework": "rest_framework",
    "django-rest-knox": "knox",
    "drf-spectacular": "drf_spectacular",
    "prometheus-client": "prometheus_client",
    "opentelemetry-api": "opentelemetry",
    "sentry-sdk": "sentry_sdk",
}
# Comes with Django, which cannot do without.
OF_DJANGO = {"asgiref"}

ADD_ALICE = f"""
from django.contrib.auth.models import User
User.objects.create_superuser("alice", "alice@example.com", {PASSWORD!r})
"""
# Adds a user and a service, sweeps once, and tells where authx is and what beat would start.
FRESH = f"""
import authx
from accounts.deletion import DeleteAccountView
from accounts.tasks import send_notifications, sweep
from authx.contrib.introspection.models import Service
from authx.contrib.introspection.services import create_service
from django.conf import settings
from django.contrib.auth.models import User
User.objects.create_user("alice", "alice@example.com", {PASSWORD!r})
service = Service(name="orders")
create_service(service=service)
sweep()
send_notifications()
print(authx.__file__)
print([entry["task"] for entry in settings.CELERY_BEAT_SCHEDULE.values()])
print([sweep.name, send_notifications.name])
print(service.pk)
print(service.raw_secret)
"""


# What the other pages offer beside the guide.
OPTIONAL = {
    "python.md": ["One error format"],
    "api.md": ["Introspection", "Describe it in your project"],
    "account.md": ["Add them", "In your app", "A recent sign-in"],
    "operations.md": [
        "Traces of your own project",
        "Error reports of your own project",
        "Metrics of your own project",
    ],
}


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    site = tmp_path_factory.mktemp("wheel")
    install_wheel(site)
    return site


def imported_modules(source: str) -> Iterator[str]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            yield node.module.partition(".")[0]
        if isinstance(node, ast.Import):
            yield from (alias.name.partition(".")[0] for alias in node.names)


def test_the_wheel_holds_authx_and_nothing_else(site: Path) -> None:
    assert sorted(path.name for path in site.iterdir() if path.is_dir()) == [
        "authx",
        "drf_device_sessions-0.1.0.dist-info",
    ]


def test_the_wheel_holds_all_of_authx(site: Path) -> None:
    ours = {
        path.relative_to(ROOT)
        for path in (ROOT / "authx").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    theirs = {path.relative_to(site) for path in (site / "authx").rglob("*") if path.is_file()}
    assert theirs == ours
    assert {Path("authx/py.typed"), Path("authx/migrations/0001_initial.py")} < theirs


def test_the_wheel_asks_for_all_that_authx_imports(site: Path) -> None:
    project = PYPROJECT["project"]
    optional = itertools.chain(*project["optional-dependencies"].values())
    names = [Requirement(line).name for line in [*project["dependencies"], *optional]]
    sources = [path.read_text() for path in (site / "authx").rglob("*.py")]
    imported = {module for source in sources for module in imported_modules(source)}
    # Imported by name, where a URL asks for it.
    asked_for = {MODULES_OF.get(name, name) for name in names} - {"redis"}
    assert imported - set(sys.stdlib_module_names) - OF_DJANGO - {"authx"} == asked_for


def test_a_fresh_project_that_follows_the_guide_signs_users_in(wheel: Path, tmp_path: Path) -> None:
    shop = Shop(tmp_path, wheel)
    shop.follow("Install", "Users of your website", "Scheduled tasks")
    for name, headings in OPTIONAL.items():
        shop.follow(*headings, guide=ROOT / "docs" / name)
    shop.manage("migrate")
    shop.manage("check", "--fail-level", "WARNING")
    where, entries, tasks, client_id, raw_secret = shop.shell(FRESH)
    assert Path(where).is_relative_to(shop.site)
    assert entries == tasks == "['accounts.tasks.sweep', 'accounts.tasks.send_notifications']"
    with shop.serving() as http:
        login = {"username": "alice", "password": PASSWORD}
        pair = http.post("/users/login", json=login).json()
        me = http.get("/users/me", headers={"Authorization": f"Bearer {pair['access_token']}"})
        assert me.json()["username"] == "alice"
        token = {"token": pair["access_token"]}
        told = http.post("/users/introspect", data=token, auth=(client_id, raw_secret)).json()
        assert (told["username"], told["device_id"]) == ("alice", pair["device"]["id"])
        assert "/users/login" in http.get("/api/schema").text
        page = http.get("/account/", follow_redirects=True)
        assert (page.status_code, str(page.url.path)) == (HTTPStatus.OK, "/account/sign-in/")
        asked = http.post("/users/recover", json={"username": "alice"})
        assert asked.status_code == HTTPStatus.ACCEPTED
        grant = {"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}
        assert http.post("/users/token", data=grant).status_code == HTTPStatus.OK


def test_the_commands_of_the_guide_lead_from_an_empty_project_to_a_sign_out(
    wheel: Path, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, wheel)
    shop.follow("Install")
    migrate, check, create_user, _ = commands("Install")[-4:]
    for command in (migrate, check):
        shop.run(*command.split()[1:])
    assert create_user.split()[2:5] == ["createsuperuser", "--username", "alice"]
    shop.shell(ADD_ALICE)
    variables = {"PASSWORD": PASSWORD}
    answers = []
    with shop.serving() as http:
        for command in [*commands("Sign in"), commands("Sign in")[1]]:
            answer = run_curl(command, str(http.base_url), variables)
            tokens = {name.upper(): answer[name] for name in answer if name.endswith("_token")}
            variables |= tokens
            answers.append(answer)
    signed_in, me, refreshed, signed_out, again = answers
    assert [signed_in["generation"], refreshed["generation"]] == [0, 1]
    assert me["username"] == "alice"
    assert (signed_out, again["error"]) == ({}, "invalid_token")


def commands(heading: str) -> list[str]:
    """Return the shell commands under a heading of the guide."""
    (section,) = re.findall(rf"^## {heading}\n(.+?)^## ", GUIDE, re.MULTILINE | re.DOTALL)
    blocks = re.findall(r"^```sh\n(.+?)\n```$", section, re.MULTILINE | re.DOTALL)
    return [command for block in blocks for command in block.splitlines()]


def test_each_step_of_adding_it_takes_fewer_than_ten_lines() -> None:
    guide = GUIDE.partition("## What comes next")[0]
    lengths = [len(block["code"].splitlines()) for block in BLOCK.finditer(guide)]
    assert len(lengths) == 7
    assert [length for length in lengths if length >= 10] == []


def test_the_readme_shows_what_the_guide_does() -> None:
    readme = (ROOT / "README.md").read_text()
    shown = [block[0] for block in BLOCK.finditer(readme)]
    assert len(shown) == 3
    assert [block for block in shown if block not in GUIDE] == []
    assert re.search(r"^pip install \.$", readme, re.MULTILINE)


def test_the_package_says_the_version_of_the_distribution() -> None:
    assert PYPROJECT["project"]["version"] == authx.__version__
