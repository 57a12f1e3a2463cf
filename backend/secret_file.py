"""A secret of this machine alone, for whoever starts the project without configuring anything."""

import os
import secrets
import tempfile
from contextlib import suppress
from pathlib import Path


def get_or_create_secret(path: Path, *, length: int = 64) -> str:
    """Return a secret made at the first call and kept in a file that its owner alone can read.

    `length` is that of a new one, in random bytes.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with suppress(FileExistsError), tempfile.NamedTemporaryFile("w", dir=path.parent) as fresh:
        fresh.write(secrets.token_urlsafe(length))
        fresh.flush()
        # Whole or not at all: of two first starts at once, both keep what the first one linked.
        os.link(fresh.name, path)
    return path.read_text()
