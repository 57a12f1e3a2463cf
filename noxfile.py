"""The matrix of versions: runs tests/matrix/project.py with the wheel in each cell.

`nox` runs every cell for which this machine has a Python, `nox -t corners` the oldest and the newest.
"""

import nox

nox.options.default_venv_backend = "uv"
nox.options.reuse_venv = "yes"
# A Python that is missing is reported as skipped, in CI too.
nox.options.error_on_missing_interpreters = False

# Django and the versions of Python that it supports, of those that authx supports.
PYTHONS = {
    "5.2": ("3.11", "3.12", "3.13", "3.14"),
    "6.0": ("3.12", "3.13", "3.14"),
    "6.1": ("3.12", "3.13", "3.14"),
}
# The oldest that authx allows, and the newest.
DRF = ("==3.17.0", ">=3.17")
# PostgreSQL by the package that brings it; Debian has its own.
POSTGRESQL = ("15", "16", "17", "18")
ENVIRONMENT = {"GUIDE": "docs/adopt.md", "DJANGO_SETTINGS_MODULE": "matrix_settings"}
CORNERS = {("3.11", "5.2", DRF[0]): "oldest", ("3.13", "6.1", DRF[1]): "newest"}
CELLS = [
    nox.param(python, django, drf, tags=["corners"] if (python, django, drf) in CORNERS else [])
    for django, pythons in PYTHONS.items()
    for python in pythons
    for drf in DRF
]


def install(session: nox.Session, django: str, drf: str, *more: str) -> None:
    session.install(".", f"django=={django}.*", f"djangorestframework{drf}", *more)


@nox.session
@nox.parametrize("python,django,drf", CELLS)
def matrix(session: nox.Session, django: str, drf: str) -> None:
    install(session, django, drf)
    session.run("python", "-X", "dev", "tests/matrix/project.py", env=ENVIRONMENT)
