"""Asks whether what is pinned has a known weakness: `python -m tests.audit -r base.txt`.

A known weakness fails the gate. What could not be asked after is told aloud and fails nothing: the
gate has to hold without a network too, but no silence may pass for an answer.
"""

import json
import subprocess
import sys
from typing import Any

PIP_AUDIT = [sys.executable, "-m", "pip_audit", "--require-hashes", "--disable-pip"]
QUIETLY = ["--format=json", "--progress-spinner=off", "--desc=off"]


def audit(arguments: list[str]) -> int:
    """Print what is weak and what is unknown; return the exit code."""
    asked = subprocess.run(
        [*PIP_AUDIT, *QUIETLY, *arguments], capture_output=True, text=True, check=False
    )
    try:
        packages = json.loads(asked.stdout)["dependencies"]
    except ValueError:
        reason = asked.stderr.strip().rpartition("\n")[2]
        sys.stdout.write(f"NOT AUDITED, for pip-audit does not answer: {reason}\n")
        return 0
    weak, unknown = weaknesses(packages), [one["name"] for one in packages if "vulns" not in one]
    for line in weak:
        sys.stdout.write(f"WEAK: {line}\n")
    if unknown:
        sys.stdout.write(
            f"NOT AUDITED: {len(unknown)} of {len(packages)} packages, for the vulnerability"
            f" service does not know them from here: {', '.join(unknown)}\n"
        )
    return 1 if weak else 0


def weaknesses(packages: list[dict[str, Any]]) -> list[str]:
    return [
        f"{one['name']} {one['version']} has {found['id']}, mended in {found['fix_versions']}"
        for one in packages
        for found in one.get("vulns", [])
    ]


if __name__ == "__main__":
    sys.exit(audit(sys.argv[1:]))
