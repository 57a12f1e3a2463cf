"""Throw-away projects that use the built wheel: one story in one process, on SQLite in memory."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.shop import FOREIGN

# What the README puts into a project, around what Django's `startproject` writes.
SETTINGS = """
SECRET_KEY = "for this test only " * 4
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
ALLOWED_HOSTS = ["testserver"]
INSTALLED_APPS = [
    "django.contrib.admin", "django.contrib.auth", "django.contrib.contenttypes",
    "django.contrib.sessions", "django.contrib.messages", "shop",
    "rest_framework", "knox", "authx",
]
MIDDLEWARE = [
    "authx.rest.middleware.RequestContextMiddleware",
    "authx.rest.middleware.APIMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
]
TEMPLATES = [{
    "BACKEND": "django.template.backends.django.DjangoTemplates",
    "APP_DIRS": True,
    "OPTIONS": {"context_processors": [
        "django.template.context_processors.request",
        "django.contrib.auth.context_processors.auth",
        "django.contrib.messages.context_processors.messages",
    ]},
}]
AUTHENTICATION_BACKENDS = ["authx.passwords.backends.ModelBackend"]
SESSION_ENGINE = "authx.sessions.cookies"
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
ROOT_URLCONF = "shop.urls"
USE_TZ = True
KNOX_TOKEN_MODEL = "authx.DeviceSession"
MIGRATION_MODULES = {"knox": None, "shop": None}
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": ["authx.rest.authentication.TokenAuthentication"],
    "NUM_PROXIES": 0,
}
"""
# Before the story: a database, and a client that speaks JSON.
BEGIN = """
import json
import sys
import django
django.setup()
# DRF's views import what a project names in its settings, which may import views.
early = "rest_framework.views" in sys.modules
from django.core.checks import run_checks
from django.core.management import call_command
from django.test import Client

call_command("migrate", verbosity=0, run_syncdb=True)
client = Client()

def post(path, body, **headers):
    return client.post(path, body, content_type="application/json", headers=headers)

def get(path, pair=None, **headers):
    token = {"authorization": "Bearer " + pair["access_token"]} if pair else {}
    return client.get(path, headers=token | headers)

def ids():
    return sorted(message.id for message in run_checks())
"""


def tell(site: Path, project: Path, files: dict[str, str]) -> Any:
    """Write the files of a project, and return what its story prints as JSON.

    `settings` follows the settings above; `story` follows the beginning above.
    """
    code = {"__init__": "", "urls": "", **files}
    code["settings"] = SETTINGS + code.get("settings", "")
    code["story"] = BEGIN + code["story"]
    (project / "shop").mkdir()
    for name, text in code.items():
        (project / "shop" / f"{name}.py").write_text(text)
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith(FOREIGN)}
    of_project = {"PYTHONPATH": f"{project}:{site}", "DJANGO_SETTINGS_MODULE": "shop.settings"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "-m", "shop.story"],
        cwd=project,
        env=inherited | of_project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return json.loads(ran.stdout)
