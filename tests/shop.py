"""A Django project outside this repository, with the built wheel installed, that follows our guide.

Real `manage.py` processes on a SQLite file, talked to over real HTTP.
"""

import os
import re
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import httpx
from django.core.management import call_command

from tests.ports import free_port

ROOT = Path(__file__).resolve().parent.parent
UV = Path(sysconfig.get_path("scripts")) / "uv"
BLOCK = re.compile(r"^```python\n# (?P<path>\S+)\n(?P<code>.+?)^```$", re.MULTILINE | re.DOTALL)
# What runserver and uvicorn print.
READY = re.compile(r"(Starting development server at|running on) ")
# What this test run is set up for.
FOREIGN = ("DATABASE_URL", "REDIS_URL", "DJANGO", "PYTEST", "COV", "SECRET_KEY")


def install_wheel(site: Path) -> None:
    """Do what `pip install .` does, without dependencies and without a network."""
    quietly = ("pip", "install", "--quiet", "--offline", "--no-deps", "--no-cache")
    subprocess.run([UV, *quietly, "--target", site, ROOT], check=True)


class Shop:
    """The project `shop` with its app `accounts`."""

    def __init__(self, root: Path, site: Path) -> None:
        self.root = root / "project"
        self.site = site
        self.root.mkdir()
        call_command("startproject", "shop", self.root)
        (self.root / "accounts").mkdir()
        self.append("accounts/__init__.py", "")
        self.append("shop/settings.py", "INSTALLED_APPS += ['accounts']")

    def copy(self, root: Path) -> "Shop":
        """Return a copy in another directory, with what is in its database."""
        twin = object.__new__(Shop)
        twin.root, twin.site = root / "project", self.site
        shutil.copytree(self.root, twin.root)
        return twin

    def append(self, path: str, code: str) -> None:
        with (self.root / path).open("a") as file:
            file.write(f"\n{code}\n")

    def follow(self, *headings: str, guide: Path = ROOT / "docs" / "adopt.md") -> None:
        """Put the code under these headings of a guide where it says that it belongs."""
        sections = re.split(r"^##+ ", guide.read_text(), flags=re.MULTILINE)
        for heading in headings:
            (section,) = [section for section in sections if section.startswith(f"{heading}\n")]
            for block in BLOCK.finditer(section):
                self.append(block["path"], block["code"])

    def take(self, path: str, directory: Path) -> None:
        """Copy a directory of the guide to where it says."""
        shutil.copytree(directory, self.root / path, ignore=shutil.ignore_patterns("__pycache__"))

    def announce_sunset(self, *, year: int) -> None:
        """Let the old scheme end at the beginning of this year."""
        end = f"datetime({year}, 1, 1, tzinfo=UTC)"
        dates = f'"DEPRECATED_AT": datetime(2019, 1, 1, tzinfo=UTC), "SUNSET_AT": {end}'
        self.append("shop/settings.py", f"AUTHX |= {{{dates}}}")

    def code(self) -> dict[Path, str]:
        return {path: path.read_text() for path in self.root.rglob("*.py")}

    def go_back_to(self, code: dict[Path, str]) -> None:
        for path in self.code().keys() - code.keys():
            path.unlink()
        for path, text in code.items():
            path.write_text(text)

    def manage(self, *words: str) -> str:
        return self.run("manage.py", *words)

    def run(self, *words: str) -> str:
        """Run Python with these arguments; returns what it prints."""
        ran = subprocess.run(
            [sys.executable, *words],
            cwd=self.root,
            env=self._environment(),
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def shell(self, code: str) -> list[str]:
        """Run a few statements in the project; returns the lines that they print."""
        return self.manage("shell", "--no-imports", "--command", code).splitlines()

    @contextmanager
    def serving(self) -> Iterator[httpx.Client]:
        port = free_port()
        words = ("manage.py", "runserver", "--noreload", f"127.0.0.1:{port}")
        with self._served(words, httpx.Client(base_url=f"http://127.0.0.1:{port}")) as client:
            yield client

    @contextmanager
    def serving_asgi(self, socket: Path | None = None) -> Iterator[httpx.Client]:
        """Serve the project by uvicorn, on loopback or at a Unix socket."""
        port = free_port()
        where = ("--uds", str(socket)) if socket else ("--port", str(port))
        words = ("-m", "uvicorn", "shop.asgi:application", "--lifespan", "off", *where)
        transport = httpx.HTTPTransport(uds=str(socket)) if socket else None
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", transport=transport)
        with self._served(words, client):
            yield client

    @property
    def log(self) -> Path:
        """The file with what the server has printed."""
        return self.root / "log"

    @contextmanager
    def _served(self, words: Sequence[str], client: httpx.Client) -> Iterator[httpx.Client]:
        with self.log.open("w") as output:
            server = subprocess.Popen(
                [sys.executable, *words],
                cwd=self.root,
                env=self._environment(),
                stdout=output,
                stderr=output,
            )
        try:
            with client:
                _wait_for(server, self.log)
                yield client
        finally:
            server.terminate()
            server.wait(timeout=10)

    def _environment(self) -> dict[str, str]:
        inherited = {name: os.environ[name] for name in os.environ if not name.startswith(FOREIGN)}
        return inherited | {"PYTHONPATH": str(self.site)}


def _wait_for(server: "subprocess.Popen[bytes]", log: Path) -> None:
    """Wait until the server says where it listens."""
    deadline = time.monotonic() + 30
    while not READY.search(log.read_text()):
        assert server.poll() is None, log.read_text()
        assert time.monotonic() < deadline, log.read_text()
        time.sleep(0.05)
