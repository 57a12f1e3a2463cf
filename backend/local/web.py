"""The web server: prepares the database, then becomes gunicorn."""

import django
from django.contrib.auth import get_user_model
from django.core.management import call_command
from django.db import OperationalError, connection

from backend.local.launch import become_python, launcher, wait_until
from backend.local.place import demo_password, env
from backend.local.ports import HOST

DEMO_USERNAME = "demo"


def ensure_demo_account(password: str) -> None:
    """Make the account, or give it its password back."""
    accounts = get_user_model().objects
    account = accounts.filter(username=DEMO_USERNAME).first() or accounts.create_user(
        DEMO_USERNAME, f"{DEMO_USERNAME}@localhost", password
    )
    # A new hash of the same password would end yesterday's sessions.
    if not account.check_password(password):
        account.set_password(password)
        account.save()


@launcher
def main() -> None:
    django.setup()
    wait_until(connection.ensure_connection, refusal=OperationalError, who="The database")
    call_command("migrate", interactive=False)
    ensure_demo_account(demo_password())
    connection.close()
    become_python(
        "gunicorn",
        "--config=python:backend.gunicorn",
        f"--bind={HOST}:{env.int('PORT')}",
        "--workers=2",
        # Shorter than the runner's patience, so that an open request does not end in SIGKILL.
        "--graceful-timeout=3",
        # It would be one file in the home directory for every stack of this user.
        "--no-control-socket",
    )


if __name__ == "__main__":
    main()
