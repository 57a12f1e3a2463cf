"""What a run was made on, in words that name no host."""

import os
import platform
from importlib.metadata import version
from pathlib import Path
from typing import Final

PACKAGES: Final = (
    "Django",
    "djangorestframework",
    "psycopg",
    "django-rest-knox",
    "djangorestframework-simplejwt",
    "django-oauth-toolkit",
    "django-allauth",
)
CPU_INFO: Final = Path("/proc/cpuinfo")


def describe_machine(postgresql: str) -> str:
    """Return the processor and the versions, as a sentence."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return (
        f"{_processor()}, {os.cpu_count()} cores, {platform.system()}; "
        f"Python {platform.python_version()}, PostgreSQL {postgresql}, {packages}."
    )


def _processor() -> str:
    if CPU_INFO.exists():
        for line in CPU_INFO.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.machine()
