"""A secret of this machine, for a start without any configuration."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def get_or_create_secret(path: Path, *, length: int = 64) -> str:
    """Return a secret that the first call creates, in a file that only its owner can read.

    `length` is the number of random bytes of a new secret.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), tempfile.NamedTemporaryFile("w", dir=path.parent) as fresh:
        fresh.write(secrets.token_urlsafe(length))
        fresh.flush()
        # Atomic: two first starts in parallel both use the file that was linked first.
        os.link(fresh.name, path)
    return path.read_text()
