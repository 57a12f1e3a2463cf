"""The source files of the project, and what tests read out of them."""

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
AUTHX = [path for path in sorted(ROOT.glob("authx/**/*.py")) if path.parent.name != "migrations"]
TASKS = sorted(ROOT.glob("tasks/**/*.py"))
BACKEND = sorted(ROOT.glob("backend/**/*.py"))
ALL_FILES = [*AUTHX, *TASKS, *BACKEND]
TESTS = sorted(ROOT.glob("tests/**/*.py"))


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def calls_in(node: ast.AST) -> Iterator[ast.Call]:
    return (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))


def functions_in(node: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef)
    return (inner for inner in ast.walk(node) if isinstance(inner, kinds))


def names_in(*nodes: ast.AST) -> Iterator[str]:
    for node in nodes:
        for inner in ast.walk(node):
            if isinstance(inner, ast.Name):
                yield inner.id
            if isinstance(inner, ast.Attribute):
                yield inner.attr


def offenders(
    paths: Sequence[Path], rule: Callable[[str], Sequence[str]]
) -> dict[str, Sequence[str]]:
    """Return what a rule finds in the source of each file, without the files that keep to it."""
    found = {named(path): rule(path.read_text()) for path in paths}
    return {name: finds for name, finds in found.items() if finds}


def check_ids_in(source: str) -> Counter[str]:
    """Count the ids that a source makes: the literals `id=`, and the numbers given to _error."""
    calls = [node for node in ast.walk(ast.parse(source)) if isinstance(node, ast.Call)]
    made = [ast.unparse(call.args[0]) for call in calls if ast.unparse(call.func) == "_error"]
    named = [
        ast.literal_eval(word.value)
        for call in calls
        for word in call.keywords
        if word.arg == "id" and isinstance(word.value, ast.Constant)
    ]
    return Counter([f"authx.E{int(number):03}" for number in made] + named)
