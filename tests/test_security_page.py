"""What SECURITY.md says is shown by a test is shown by a test that exists."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PAGE = (ROOT / "SECURITY.md").read_text()
NAMED = re.compile(r"`(tests/\w+\.py)?(?:::(\w+))?`")


def named_tests(text: str) -> list[tuple[str, str]]:
    """Return the (file, function) that a text names; `::name` belongs to the file before it."""
    found, file = [], ""
    for match in NAMED.finditer(text):
        file = match[1] or file
        found.append((file, match[2] or ""))
    return found


def threats(text: str) -> list[list[str]]:
    """Return the cells of each row in a table whose head begins with `threat`."""
    tables = re.findall(r"^\| threat \|.*\n\|[-|]+\|\n((?:\|.*\n)+)", text, re.MULTILINE)
    lines = [line for table in tables for line in table.splitlines()]
    return [[cell.strip() for cell in line.strip("|").split(" | ")] for line in lines]


def test_the_reader_of_names_sees_them() -> None:
    text = "see `tests/test_a.py::test_one`, `::test_two` and `tests/test_b.py`, not `x`"
    assert named_tests(text) == [
        ("tests/test_a.py", "test_one"),
        ("tests/test_a.py", "test_two"),
        ("tests/test_b.py", ""),
    ]


@pytest.mark.parametrize(("file", "name"), sorted(set(named_tests(PAGE))))
def test_a_test_that_is_named_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    functions = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef)}
    assert name in functions | {""}


def test_the_reader_of_tables_sees_their_rows() -> None:
    table = "| threat | defence |\n|---|---|\n| a | b |\n| c | d |\n"
    assert (
        threats(f"{table}\n| what | why |\n|---|---|\n| x | y |\n{table}")
        == [
            ["a", "b"],
            ["c", "d"],
        ]
        * 2
    )


@pytest.mark.parametrize("row", threats(PAGE), ids=lambda row: row[0])
def test_every_threat_has_a_defence_and_a_test(row: list[str]) -> None:
    threat, defence, shown_by = row
    assert threat
    assert defence
    assert named_tests(shown_by)
