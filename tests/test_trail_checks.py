"""Mail without readers is warned of before it is missed."""

from pathlib import Path
from typing import Any

import pytest

from authx.checks import mail as checks
from tests.test_checks import ids_in


def ids() -> list[str | None]:
    return [message.id for message in checks.check_mail()]


@pytest.mark.parametrize("backend", ["console", "dummy", "locmem"])
def test_mail_that_nobody_reads_is_warned_of(settings: Any, backend: str) -> None:
    settings.EMAIL_BACKEND = f"django.core.mail.backends.{backend}.EmailBackend"
    assert ids() == ["authx.W030"]


def test_a_mail_server_is_fine(settings: Any) -> None:
    settings.EMAIL_BACKEND = "django.core.mail.backends.smtp.EmailBackend"
    assert ids() == []


def test_the_id_is_used_once() -> None:
    assert ids_in(Path(checks.__file__).read_text()) == {"authx.W030": 1}
