"""Fills the database of the cluster; run with its settings."""

import json
import sys
from pathlib import Path

import django


def main() -> None:
    django.setup()
    from tests.load import rows  # noqa: PLC0415 -- needs the settings

    sessions, ended, signed_in, path = sys.argv[1:]
    if int(sessions):
        rows.add_users(int(sessions) // rows.SESSIONS_PER_USER)
    rows.add_sessions(int(sessions), int(ended))
    if int(signed_in):
        Path(path).write_text(json.dumps(rows.sign_in(int(signed_in))))
    rows.settle()


if __name__ == "__main__":
    main()
