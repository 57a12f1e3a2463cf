"""What SECURITY.md says is shown by a test is shown by a test that exists."""

import ast
import re
from functools import cache

from tests.source_code import ROOT, functions_in

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


@cache
def functions_of(file: str) -> set[str]:
    """Return the names of the functions in a file; nothing if there is no such file."""
    path = ROOT / file
    tree = ast.parse(path.read_text() if path.is_file() else "")
    return {node.name for node in functions_in(tree)}


def test_a_test_that_is_named_exists() -> None:
    named = sorted(set(named_tests(PAGE)))
    assert named
    assert [
        f"{file}::{name}" for file, name in named if name not in functions_of(file) | {""}
    ] == []
    assert [file for file, _ in named if not (ROOT / file).is_file()] == []


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


def test_every_threat_has_a_defence_and_a_test() -> None:
    rows = threats(PAGE)
    assert len(rows) > 50
    assert [row for row in rows if len(row) != 3 or not all(row) or not named_tests(row[2])] == []
