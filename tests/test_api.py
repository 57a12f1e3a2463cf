"""The module that a project imports from offers what it lists, and what the guide uses."""

import re
from pathlib import Path

from authx import api

GUIDE = (Path(__file__).resolve().parent.parent / "docs" / "adopt.md").read_text()


def test_every_listed_name_is_there_and_no_other() -> None:
    public = {name for name in vars(api) if not name.startswith("_")}
    assert public == set(api.__all__)


def test_the_guide_imports_nothing_that_is_not_listed() -> None:
    imported = re.findall(r"^from authx\.api import (.+)$", GUIDE, re.MULTILINE)
    names = {name.partition(" as ")[0].strip() for line in imported for name in line.split(",")}
    assert names
    assert names <= set(api.__all__)
