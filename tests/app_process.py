"""A process of an app with one of the clients of the guide, which does what a test tells it."""

import json
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple, Self

from tests.node_driver import CLIENTS
from tests.web_server import ROOT

# Types are all that a runtime without a compiler has to strip.
STRICT = (
    *("--strict", "--noUncheckedIndexedAccess", "--exactOptionalPropertyTypes"),
    *("--erasableSyntaxOnly", "--verbatimModuleSyntax", "--skipLibCheck"),
    *("--target", "es2022", "--module", "es2022", "--moduleResolution", "bundler"),
    *("--lib", "es2022,dom", "--types", "node"),
)


class Compiled(NamedTuple):
    """How a compiled app is started."""

    command: Sequence[str | Path]


def compile_program(name: str, directory: Path) -> Path:
    """Compile a program of tests/clients with TypeScript; return what Node runs."""
    return compile_file(CLIENTS / f"{name}.ts", ROOT, directory)


def compile_file(source: Path, root: Path, directory: Path) -> Path:
    """Compile a file below `root`, and what it imports; return what Node runs."""
    compiler = CLIENTS / "node_modules" / "typescript" / "bin" / "tsc"
    places = ("--rootDir", root, "--typeRoots", CLIENTS / "node_modules" / "@types")
    compile_it = ("node", compiler, *STRICT, *places, "--outDir", directory, source)
    subprocess.run(compile_it, cwd=CLIENTS, check=True)
    (directory / "package.json").write_text('{"type": "module"}')
    return directory / source.relative_to(root).with_suffix(".js")


def compile_typescript(directory: Path) -> Compiled:
    return Compiled(("node", compile_program("app", directory)))


class AppProcess:
    """A process of an app; others with the same store are processes of the same app."""

    def __init__(self, compiled: Compiled, url: str, store: Path, timeout: float) -> None:
        self._arguments = (compiled, url, store, timeout)
        self._store = store
        self._process = subprocess.Popen(
            [*compiled.command, url, store, str(int(timeout * 1000))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def another(self) -> "AppProcess":
        """Start another process of this app."""
        return AppProcess(*self._arguments)

    def start(self, *deed: str) -> None:
        """Let it begin, and come back at once."""
        assert self._process.stdin
        self._process.stdin.write(json.dumps(deed) + "\n")
        self._process.stdin.flush()

    def result(self) -> Any:
        """Return the status of what was started last, "done", or the name of an error."""
        assert self._process.stdout
        return json.loads(self._process.stdout.readline())

    def do(self, *deed: str) -> Any:
        self.start(*deed)
        return self.result()

    @property
    def stored(self) -> Any:
        return json.loads(self._store.read_text())

    def kill(self) -> None:
        self._process.kill()
        self._process.communicate()
