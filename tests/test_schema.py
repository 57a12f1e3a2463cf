"""The API description in the repository is the one that the code gives."""

from io import StringIO
from pathlib import Path

from django.core.management import call_command

ROOT = Path(__file__).resolve().parent.parent


def test_the_committed_description_is_what_the_code_says() -> None:
    said = StringIO()
    call_command("spectacular", "--validate", "--fail-on-warn", stdout=said)
    assert said.getvalue().strip() == (ROOT / "schema.yaml").read_text().strip()
