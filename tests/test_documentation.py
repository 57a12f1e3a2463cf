"""The pages of the repository: links, lists of files and names, and the example of the README."""

import json
import re
import shlex
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import yaml
from django.contrib.auth.models import User
from django.test import Client

from tests.phone import PASSWORD

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(DOCS.glob("*.md")), *sorted(ROOT.glob("docker/*.md"))]
CODE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\]\(([^)\s:]+)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)
# Not the name of a template.
NAMED_FILE = re.compile(r"`((?!authx/mail/)(?:authx|backend|tasks|tests|docs)/[\w./-]*)`")
CURL = re.compile(r"^\$ (curl .+)\n(.+)$", re.MULTILINE)
# The numbered pages and lists of a workplace that is not part of the repository.
ELSEWHERE = re.compile(r"\b(?:style trap|trap|design|issue) #?\d+\b", re.IGNORECASE)
SOURCES = [
    path
    for pattern in ("*.md", "docs/**/*.*", "authx/**/*.py", "backend/**/*.py", "tasks/*.py")
    for path in ROOT.glob(pattern)
] + sorted((ROOT / "tests").glob("*.py"))


def slug(heading: str) -> str:
    """Return the anchor that GitHub and MyST give a heading."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def anchors(text: str) -> set[str]:
    return {slug(heading) for heading in HEADING.findall(CODE.sub("", text))}


def dead_links(page: Path) -> list[str]:
    """Return the links of a page to a file or a heading that does not exist."""
    dead = []
    for link in LINK.findall(CODE.sub("", page.read_text())):
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            dead.append(link)
    return dead


def test_a_dead_link_and_a_dead_anchor_are_found(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text("# A `b`, c\n[x](#a-b-c) [x](#a) [x](page.md) [x](page.md#d) [x](gone.md)\n")
    assert dead_links(page) == ["#a", "page.md#d", "gone.md"]


def test_no_link_between_pages_is_dead() -> None:
    found = {str(page.relative_to(ROOT)): dead_links(page) for page in PAGES}
    assert {page: links for page, links in found.items() if links} == {}


def test_every_file_that_a_page_names_exists() -> None:
    named = {name for page in PAGES for name in NAMED_FILE.findall(page.read_text())}
    assert sorted(name for name in named if not (ROOT / name).exists()) == []


def test_the_architecture_lists_every_module() -> None:
    page = (ROOT / "ARCHITECTURE.md").read_text()
    listed = {name for name in NAMED_FILE.findall(page) if name.startswith("authx/")}
    # A directory stands for its files.
    directories = tuple(name for name in listed if name.endswith("/"))
    modules = {str(path.relative_to(ROOT)) for path in (ROOT / "authx").rglob("*.py")}
    generated = ("authx/migrations/",)
    assert (
        sorted(
            name
            for name in modules - listed
            if not name.endswith("__init__.py") and not name.startswith(directories + generated)
        )
        == []
    )


def test_the_architecture_names_only_what_exists() -> None:
    page = CODE.sub("", (ROOT / "ARCHITECTURE.md").read_text())
    named = {name.rpartition(".")[2] for name in re.findall(r"`([A-Za-z_][\w.]*)`", page)}
    code = "".join(path.read_text() for path in SOURCES if path.suffix == ".py")
    known = set(re.findall(r"\w+", code)) | {path.suffix[1:] for path in SOURCES}
    assert sorted(named - known) == []


def test_the_site_has_every_page() -> None:
    index = (DOCS / "index.md").read_text()
    pages = {path.stem for path in DOCS.glob("*.md")} - {"index"}
    assert sorted(page for page in pages if f"\n{page}\n" not in index) == []


def test_no_page_and_no_comment_refers_to_a_document_elsewhere() -> None:
    found = {
        str(path.relative_to(ROOT)): ELSEWHERE.findall(path.read_text())
        for path in SOURCES
        if path.is_file()
    }
    assert {path: references for path, references in found.items() if references} == {}


def test_the_guide_offers_every_client() -> None:
    guide = (DOCS / "clients.md").read_text()
    clients = [path.name for path in (DOCS / "clients").iterdir() if path.is_file()]
    assert [name for name in clients if f"(clients/{name})" not in guide] == []


def test_the_page_of_the_api_names_every_operation_and_every_error() -> None:
    page = (DOCS / "api.md").read_text()
    schema = yaml.safe_load((ROOT / "schema.yaml").read_text())
    operations = [
        f"`{method.upper()} {path.removeprefix('/') if path.startswith('/users/') else path}`"
        for path, item in schema["paths"].items()
        for method in item
    ]
    codes = schema["components"]["schemas"]["AuthxError"]["properties"]["error"]["enum"]
    expected = [*operations, *(f"`{code}`" for code in codes)]
    assert [name for name in expected if name not in page] == []


def test_the_page_of_settings_names_every_environment_variable() -> None:
    page = (DOCS / "settings.md").read_text().partition("## Environment variables")[2]
    settings = (ROOT / "backend" / "settings.py").read_text()
    variables = set(re.findall(r"\benv(?:\.\w+)?\(\s*\"([A-Z_]+)\"", settings))
    assert {"DATABASE_URL", "SWEEP_INTERVAL"} < variables
    assert sorted(name for name in variables if f"`{name}`" not in page) == []


def test_the_page_of_operations_names_every_command() -> None:
    page = (DOCS / "operations.md").read_text()
    commands = {
        path.stem
        for path in (ROOT / "authx").rglob("management/commands/*.py")
        if path.stem != "__init__"
    }
    assert sorted(name for name in commands if f"`manage.py {name}" not in page) == []


def test_the_page_of_notifications_names_every_mail() -> None:
    page = (DOCS / "notifications.md").read_text()
    templates = (ROOT / "authx" / "templates" / "authx" / "mail").glob("*_subject.txt")
    mails = [path.name.removesuffix("_subject.txt") for path in templates]
    assert mails
    assert [name for name in mails if f"`authx/mail/{name}`" not in page] == []


def test_the_readme_fits_on_one_screen() -> None:
    assert len((ROOT / "README.md").read_text().split()) <= 900


def shape(answer: Any) -> Any:
    """Return the names and types in a JSON document, without its values."""
    if isinstance(answer, dict):
        return {name: shape(value) for name, value in answer.items()}
    return type(answer)


DATA = ("-d", "--data-urlencode")


def run_curl(client: Client, command: str, variables: dict[str, str]) -> Any:
    """Send what a line of curl sends; returns the document of the response."""
    for name, value in variables.items():
        command = command.replace(f"${name}", value)
    _, url, *options = shlex.split(command)
    path = url.removeprefix("http://127.0.0.1:8000")
    pairs = list(zip(options[::2], options[1::2], strict=True))
    headers = dict(value.split(": ", 1) for option, value in pairs if option == "-H")
    fields = dict(value.split("=", 1) for option, value in pairs if option in DATA)
    assert len(headers) + len(fields) == len(pairs)
    if not fields:
        return client.get(path, headers=headers).json()
    content_type = "application/x-www-form-urlencoded"
    return client.post(path, urlencode(fields), content_type=content_type).json()


@pytest.mark.django_db(transaction=True)
def test_the_example_of_the_readme_does_what_it_shows(client: Client) -> None:
    User.objects.create_user("demo", password=PASSWORD)
    variables = {"PASSWORD": PASSWORD}
    examples = CURL.findall((ROOT / "README.md").read_text())
    assert len(examples) == 3
    for command, output in examples:
        answer = run_curl(client, command, variables)
        assert shape(answer) == shape(json.loads(output))
        tokens = {name.upper(): answer[name] for name in answer if name.endswith("_token")}
        variables |= tokens
