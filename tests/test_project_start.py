"""A project that was just started has nothing to do beyond the block of the README."""

import json
from pathlib import Path
from typing import Any

import pytest
from django.core.handlers.base import BaseHandler
from django.db import connections

from authx.rest.views.account import MeView
from authx.rest.views.tokens import TokenView
from tests.shop import ROOT, Shop

pytestmark = pytest.mark.waits

# Sentry's SDK is among the packages of this repository, and a check finds it.
WITHOUT_SENTRY = """
import sys

sys.modules["sentry_sdk"] = None
"""
FINDINGS = """
import json
from django.core.checks import run_checks
from django.test import Client
from django.core.management import call_command
from django.contrib.auth.models import User

call_command("migrate", verbosity=0)
User.objects.create_user("ann", password="a long password")
client = Client(headers={"host": "localhost"})
login = {"username": "ann", "password": "a long password"}
print(json.dumps({
    "always": [message.id for message in run_checks()],
    "deployed": [message.id for message in run_checks(include_deployment_checks=True)],
    "login": client.post("/users/login", login, content_type="application/json").status_code,
}))
"""


@pytest.mark.parametrize(
    "added", ["", "DATABASES['default']['ATOMIC_REQUESTS'] = True"], ids=["fresh", "atomic"]
)
def test_only_djangos_own_checks_have_anything_to_say(
    wheel: Path, tmp_path: Path, added: str
) -> None:
    shop = Shop(tmp_path, wheel)
    shop.follow("Install it", guide=ROOT / "README.md")
    shop.append("shop/settings.py", WITHOUT_SENTRY + added)
    (line,) = shop.shell(FINDINGS)
    found: dict[str, Any] = json.loads(line)
    assert (found["always"], found["login"]) == ([], 200)
    assert {name.partition(".")[0] for name in found["deployed"]} == {"security"}


# As cookiecutter-django has it, with the class of authx in front.
WITH_PAGES = """
DATABASES['default']['ATOMIC_REQUESTS'] = True
INSTALLED_APPS += ["rest_framework.authtoken"]
REST_FRAMEWORK["DEFAULT_AUTHENTICATION_CLASSES"] += [
    "rest_framework.authentication.SessionAuthentication",
    "rest_framework.authentication.TokenAuthentication",
]
"""


def test_a_project_whose_pages_call_its_api_by_cookie_is_warned_of_nothing(
    wheel: Path, tmp_path: Path
) -> None:
    shop = Shop(tmp_path, wheel)
    shop.follow("Install it", guide=ROOT / "README.md")
    shop.append("shop/settings.py", WITHOUT_SENTRY + WITH_PAGES)
    (line,) = shop.shell(FINDINGS)
    found: dict[str, Any] = json.loads(line)
    assert (found["always"], found["login"]) == ([], 200)
    ours = [name for name in found["deployed"] if not name.startswith("security.")]
    assert ours == []


@pytest.mark.parametrize("view", [TokenView, MeView])
def test_no_database_of_a_project_puts_our_views_into_a_transaction(
    monkeypatch: pytest.MonkeyPatch, view: Any
) -> None:
    sessions = connections.settings["default"] | {"ATOMIC_REQUESTS": True}
    monkeypatch.setitem(connections.settings, "sessions", sessions)
    callback = view.as_view()
    assert BaseHandler().make_view_atomic(callback) is callback
