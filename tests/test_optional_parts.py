"""authx works without each of its optional apps."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from django.core.checks.registry import registry
from django.test import override_settings
from django.urls import include, path

from authx.contrib.openapi.apps import OpenAPIConfig
from authx.contrib.sunset.apps import SunsetConfig
from authx.contrib.sunset.checks import check_sunset
from tests.phone import CLIENT, PASSWORD

pytestmark = pytest.mark.waits

ROOT = Path(__file__).resolve().parent.parent
CONTRIB = ("account", "introspection", "metrics", "openapi", "sentry", "sunset", "tracing")

# A project with the apps and modules named on its command line missing, that signs a user in.
PROJECT = f"""
import sys

missing, blocked = (part.split(",") for part in sys.argv[1:3])
for module in filter(None, blocked):
    sys.modules[module] = None

from django.conf import settings

from backend import settings as ours

configured = {{name: getattr(ours, name) for name in dir(ours) if name.isupper()}}
memory = {{"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
configured["DATABASES"] = {{"default": memory}}
configured["INSTALLED_APPS"] = [
    app
    for app in [*ours.INSTALLED_APPS, "authx.contrib.sunset"]
    if app not in missing and app.partition(".")[0] not in blocked
]
if "drf_spectacular" in blocked:
    del configured["REST_FRAMEWORK"]["DEFAULT_SCHEMA_CLASS"]
if "argon2" in blocked:
    # Those of Django, of which the first needs no package.
    del configured["PASSWORD_HASHERS"]
if "authx.contrib.metrics" in missing:
    del configured["MIDDLEWARE"][0]
configured["ROOT_URLCONF"] = __name__
configured["ALLOWED_HOSTS"] = ["testserver"]
configured["EMAIL_BACKEND"] = "django.core.mail.backends.locmem.EmailBackend"
settings.configure(**configured)

import django

django.setup()

from django.contrib.auth.models import User
from django.core.management import call_command
from django.test import Client
from django.urls import include, path

urlpatterns = [
    path("users/", include("authx.urls")),
    path(".well-known/", include("authx.well_known")),
]
if "authx.contrib.account" in settings.INSTALLED_APPS:
    urlpatterns.append(path("users/", include("authx.contrib.account.api_urls")))
    urlpatterns.append(path("account/", include("authx.contrib.account.urls")))
if "authx.contrib.introspection" in settings.INSTALLED_APPS:
    urlpatterns.append(path("users/", include("authx.contrib.introspection.urls")))

call_command("check")
call_command("migrate", verbosity=0)
User.objects.create_user("alice", password={PASSWORD!r})
client, json = Client(), {{"content_type": "application/json"}}
pair = client.post("/users/login", {{"username": "alice", "password": {PASSWORD!r}}}, **json).json()
grant = {{"grant_type": "refresh_token", "refresh_token": pair["refresh_token"]}}
pair = client.post("/users/token", grant, **json).json()
headers = {{"authorization": "Bearer " + pair["access_token"]}}
assert client.get("/users/me", headers=headers).json()["username"] == "alice"
assert client.get("/users/activity", headers=headers).status_code == 200
metadata = client.get("/.well-known/oauth-authorization-server").json()
has_introspection = "authx.contrib.introspection" in settings.INSTALLED_APPS
assert ("introspection_endpoint" in metadata) == has_introspection
if "drf_spectacular" not in blocked:
    from drf_spectacular.generators import SchemaGenerator

    paths = SchemaGenerator().get_schema(request=None, public=True)["paths"]
    assert ("/users/introspect" in {{path.rstrip("/") for path in paths}}) == has_introspection
    has_account = "authx.contrib.account" in settings.INSTALLED_APPS
    assert ("/users/recover" in {{path.rstrip("/") for path in paths}}) == has_account
page = client.get("/account/sign-in/").status_code
assert page == (200 if "authx.contrib.account" in settings.INSTALLED_APPS else 404)
import authx

loaded = [name for name in sys.modules if name.startswith("authx.contrib.")]
print(sorted({{name.split(".")[2] for name in loaded}}))
"""


def run_project(missing: list[str], blocked: str = "") -> str:
    # The tasks of this repository use the metrics; a project has tasks of its own.
    apps = ",".join([*(f"authx.contrib.{name}" for name in missing), "tasks"])
    environment = {"PATH": os.environ["PATH"], "SECRET_KEY": "x" * 25 + "y" * 25 + "abcdef"}
    ran = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROJECT, apps, blocked],
        cwd=ROOT,
        env=environment | {"LOCAL_DIR": os.environ.get("LOCAL_DIR", "")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return ran.stdout.strip().splitlines()[-1]


@pytest.mark.parametrize(
    "missing", ["account", "introspection", "metrics", "sentry", "sunset", "tracing"]
)
def test_the_rest_works_without_one_optional_app(missing: str) -> None:
    loaded = run_project([missing])
    assert loaded == str([name for name in CONTRIB if name != missing])


def test_an_app_without_its_package_does_nothing() -> None:
    assert run_project([], "opentelemetry,sentry_sdk") == str(list(CONTRIB))


def test_the_rest_works_without_any_and_without_their_packages() -> None:
    of_apps = "drf_spectacular,drf_spectacular_sidecar,opentelemetry,prometheus_client,sentry_sdk"
    assert run_project(list(CONTRIB), f"{of_apps},argon2,redis,valkey") == "[]"


urlpatterns = [
    path("users/", include("authx.urls")),
    path(".well-known/", include("authx.well_known")),
]


def test_the_metadata_name_no_introspection_endpoint_where_none_is_mounted() -> None:
    with override_settings(ROOT_URLCONF=__name__):
        metadata = CLIENT.get("/.well-known/oauth-authorization-server").json()
    assert "token_endpoint" in metadata
    assert not [name for name in metadata if name.startswith("introspection")]


def test_the_description_loads_nothing_of_an_app_that_is_not_installed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    loaded: list[str] = []
    monkeypatch.setattr("authx.contrib.openapi.apps.import_module", loaded.append)
    config = OpenAPIConfig.create("authx.contrib.openapi")
    config.ready()
    monkeypatch.setattr("authx.contrib.openapi.apps.apps.is_installed", lambda _: False)
    config.ready()
    extensions, introspection, account = (
        f"authx.contrib.openapi.{name}" for name in ("extensions", "introspection", "account")
    )
    assert loaded == [extensions, introspection, account, extensions]


def test_the_app_of_an_older_scheme_checks_its_dates(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(registry, "registered_checks", set())
    SunsetConfig.create("authx.contrib.sunset").ready()
    assert registry.registered_checks == {check_sunset}
