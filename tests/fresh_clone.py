"""The files of a fresh clone, where nothing can be written."""

import os
import shutil
import subprocess
from pathlib import Path

from tests.source_code import ROOT

# A file system is read-only for root too, modes are not.
AS_ROOT = 'mount --bind "$0" "$0" && mount -o remount,bind,ro "$0" && cd "$0" && exec "$@"'


def clone_to(directory: Path) -> Path:
    """Copy what git would clone, without write permissions."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in listed.stdout.decode().split("\0"):
        # One that is deleted, but not yet in a commit, is still listed.
        if name and (ROOT / name).is_file():
            target = directory / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(ROOT / name, target)
    subprocess.run(["chmod", "-R", "a-w", directory], check=True)
    return directory


def read_only(command: list[str], clone: Path) -> list[str]:
    """Return the command that runs another one in a clone that it cannot change."""
    if os.getuid():
        return command
    return ["unshare", "--mount", "sh", "-c", AS_ROOT, str(clone), *command]
