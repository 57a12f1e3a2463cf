"""The page of settings, as tests read it."""

import re
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

from tests.source_code import ROOT

PAGE = (ROOT / "docs" / "settings.md").read_text()
SECTIONS = dict(re.findall(r"^## `?([\w ]+)`?\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| .* \| ([\w., ]*) ?\|$", re.MULTILINE)
# A key that does not exist, and one of Knox's that has no default of ours.
WITHOUT_ROW = {("DEVICE_LIMITS", "authx.E001"), ("SECURE_HASH_ALGORITHM", "authx.E014")}
CHECK = re.compile(r"\b(?:[a-z_]+\.)?[EW]\d{3}\b")


def defaults_on_the_page(section: str) -> dict[str, Any]:
    rows = ROW.findall(SECTIONS[section])
    return {key: eval(default, {"timedelta": timedelta}) for key, default, _ in rows}


def named_checks(text: str) -> set[str]:
    """Return the ids of checks that a text of the page names; one without a prefix is of authx."""
    return {one if "." in one else f"authx.{one}" for one in CHECK.findall(text)}


def checks_on_the_page(section: str) -> dict[str, set[str]]:
    return {key: named_checks(checks) for key, _, checks in ROW.findall(SECTIONS[section])}


def unlisted_keys(section: str, cases: Iterable[tuple[str, Any]]) -> set[tuple[str, str]]:
    """Return the checks, with their keys, that do not stand beside the key on the page."""
    there = {
        (key, check) for key, checks in checks_on_the_page(section).items() for check in checks
    }
    return {(key, check) for check, change in cases for key in change} - WITHOUT_ROW - there


def unlisted_settings(cases: Iterable[tuple[Any, ...]]) -> set[tuple[str, str]]:
    """Return the checks, with settings of Django, that do not stand beside the setting."""
    sections = SECTIONS["Django"] + SECTIONS["The policy of this deployment"]
    rows = re.findall(r"^\| (.+?) \|.*\| ([\w., ]+) \|$", sections, re.MULTILINE)
    there = {
        (check, name)
        for names, checks in rows
        for check in named_checks(checks)
        for name in re.findall(r"`(\w+)`", names)
    }
    return {case[:2] for case in cases} - there
