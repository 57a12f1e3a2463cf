"""What the guides point at is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGES = [*sorted(ROOT.glob("*.md")), *sorted(ROOT.glob("docs/*.md"))]
CLIENTS = sorted(path for path in (ROOT / "docs" / "clients").iterdir() if path.is_file())
LINK = re.compile(r"\]\(([^):#]+)\)")
TEST = re.compile(r"`tests/(\w+\.py)")


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_between_pages_leads_somewhere(page: Path) -> None:
    assert [
        link for link in LINK.findall(page.read_text()) if not (page.parent / link).exists()
    ] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_test_that_a_page_names_exists(page: Path) -> None:
    named = TEST.findall(page.read_text())
    assert [name for name in named if not (ROOT / "tests" / name).is_file()] == []


def test_the_guide_offers_every_client() -> None:
    guide = (ROOT / "docs" / "clients.md").read_text()
    assert [path.name for path in CLIENTS if f"(clients/{path.name})" not in guide] == []
