"""The page of settings says what the code does: every key, its default, its checks."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from authx import conf
from tests import test_deployment_checks as surroundings
from tests import test_guess_checks as guessing
from tests.test_checks import DJANGO, KNOX, OWN
from tests.test_house_rules import AUTHX
from tests.test_retirement import BROKEN

PAGE = (Path(__file__).resolve().parent.parent / "docs" / "settings.md").read_text()
SECTIONS = dict(re.findall(r"^## `?(\w+)`?\n(.+?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL))
ROW = re.compile(r"^\| `(\w+)` \| `([^`]+)` \| .* \| ([EW0-9, ]*) ?\|$", re.MULTILINE)
# A key that does not exist, and one of Knox's that has no default of ours.
WITHOUT_ROW = {("DEVICE_LIMITS", "E001"), ("SECURE_HASH_ALGORITHM", "E014")}
CHECK = re.compile(r"\b[EW]\d{3}\b")


def defaults_on_the_page(section: str) -> dict[str, Any]:
    rows = ROW.findall(SECTIONS[section])
    return {key: eval(default, {"timedelta": timedelta}) for key, default, _ in rows}


def checks_on_the_page(section: str) -> dict[str, list[str]]:
    return {key: CHECK.findall(checks) for key, _, checks in ROW.findall(SECTIONS[section])}


def test_every_key_of_authx_is_there_with_its_default() -> None:
    assert defaults_on_the_page("AUTHX") == conf.DEFAULTS


def test_every_key_of_knox_that_has_a_default_of_ours_is_there_with_it() -> None:
    assert defaults_on_the_page("REST_KNOX") == conf.KNOX_DEFAULTS


@pytest.mark.parametrize(
    ("section", "cases"),
    [("AUTHX", [*OWN, *surroundings.OWN, *guessing.OWN, *BROKEN]), ("REST_KNOX", KNOX)],
    ids=["AUTHX", "KNOX"],
)
def test_every_check_that_refuses_a_key_stands_beside_it(section: str, cases: Any) -> None:
    there = {
        (key, check) for key, checks in checks_on_the_page(section).items() for check in checks
    }
    shown = {(key, check[-4:]) for check, change in cases for key in change}
    assert shown - WITHOUT_ROW <= there


def test_every_check_is_on_the_page_and_no_other() -> None:
    sources = "".join(path.read_text() for path in AUTHX)
    server_error_response = {
        f"E{int(number):03}" for number in re.findall(r"_error\(\s*(\d+),", sources)
    }
    named = set(re.findall(r"\"authx\.([EW]\d{3})\"", sources))
    assert set(CHECK.findall(PAGE)) == server_error_response | named


@pytest.mark.parametrize(
    ("expected", "setting"), sorted({case[:2] for case in [*DJANGO, *surroundings.DJANGO]})
)
def test_every_setting_of_django_that_is_checked_is_there(expected: str, setting: str) -> None:
    row = rf"^\|.*`{setting}`.*\|.*{expected[-4:]}.*\|$"
    assert re.search(row, SECTIONS["Django"], re.MULTILINE)
