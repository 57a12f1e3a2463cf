"""What Sentry's SDK reports of failures holds no secret, in its default set-up and beyond."""

import json
import os
import re
import subprocess
import sys
from typing import Any

import pytest

from tests.report_sink import report_sink
from tests.web_server import ROOT, of_this_run

pytestmark = [pytest.mark.waits, pytest.mark.django_db(transaction=True)]

INIT = "import json, sys, sentry_sdk; sentry_sdk.init(sys.argv[1], **json.loads(sys.argv[2]))"
SETUP = "import django; django.setup()"
WITHOUT_OURS = """from django.conf import settings
settings.INSTALLED_APPS.remove("authx.contrib.sentry")"""
FAIL = "from tests import reporting; reporting.fail_everywhere()"
EVERYTHING = {"traces_sample_rate": 1.0, "send_default_pii": True, "attach_stacktrace": True}
PART_OF_A_SECRET = re.compile(r"ax[ars]_[\w-]{4,}|horse")
PLACES = [
    *("/users/login", "/users/token", "/users/revoke", "/users/introspect", "/users/password"),
    *("/users/me", "/admin/login/", "/rest", "/plain", "tasks.cleanup.sweep", "fail_in_receiver"),
    *("deep inside", "temporarily unavailable, OperationalError"),
]


def reports_of(*program: str, **options: Any) -> tuple[list[str], str]:
    """Run a project in which everything fails; return its secrets, and what was reported."""
    with report_sink() as sink:
        ran = subprocess.run(
            [
                sys.executable,
                "-W",
                "ignore",
                "-c",
                "\n".join(program),
                sink.dsn,
                # The SDK drops what its queue cannot hold.
                json.dumps(options | {"transport_queue_size": 10_000}),
            ],
            cwd=ROOT,
            env=os.environ | of_this_run() | {"DJANGO_SETTINGS_MODULE": "backend.settings"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stderr
        return json.loads(ran.stdout.splitlines()[-1]), "\n".join(sink.envelopes)


def leaks(secrets: list[str], reports: str) -> list[str]:
    # In the words of JSON, as reports are.
    return [secret for secret in secrets if json.dumps(secret)[1:-1] in reports]


@pytest.mark.parametrize(
    ("program", "options"),
    [
        # As Sentry's documentation has it: in the settings, with a DSN and nothing else.
        ((INIT, SETUP, FAIL), {}),
        ((SETUP, INIT, FAIL), EVERYTHING),
    ],
    ids=["default", "everything on, initialized late"],
)
def test_no_report_holds_a_secret(program: tuple[str, ...], options: dict[str, Any]) -> None:
    secrets, reports = reports_of(*program, **options)
    assert [place for place in PLACES if place not in reports] == []
    assert ('"type":"transaction"' in reports) == bool(options)
    assert leaks(secrets, reports) == []
    assert PART_OF_A_SECRET.findall(reports) == []


def test_the_search_sees_what_the_sdk_reports_by_itself() -> None:
    secrets, reports = reports_of(INIT, WITHOUT_OURS, SETUP, FAIL)
    found = leaks(secrets, reports)
    assert {secret[:4] for secret in found} >= {"axa_", "axr_", "axs_", "an-i", "corr", "anot"}
