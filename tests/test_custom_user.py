"""Compiled statements follow whatever a project has: its user model, its routers, its settings.

A throw-away project on SQLite: its user has a UUID, an e-mail address instead of a name, and
columns in two tables; a router keeps all of it in another database, and changes its mind half-way.
"""

import json
import os
import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from django.db import connection

from authx.models import DeviceSession
from tests.conftest import Clock
from tests.phone import Phone
from tests.shop import FOREIGN, ROOT

PROJECT = {
    "members/__init__.py": "",
    "members/models.py": """
        import uuid
        from django.contrib.auth.models import AbstractBaseUser, BaseUserManager, PermissionsMixin
        from django.db import models

        class Accounts(BaseUserManager):
            def create_user(self, email, password):
                account = self.model(email=email, city="Ghent")
                account.set_password(password)
                account.save()
                return account

        class Account(AbstractBaseUser, PermissionsMixin):
            id = models.UUIDField(primary_key=True, default=uuid.uuid4)
            email = models.EmailField(unique=True)
            is_active = models.BooleanField(default=True, db_column="may_enter")
            objects = Accounts()
            USERNAME_FIELD = "email"

            def check_password(self, raw_password):
                return super().check_password(raw_password)

        class Member(Account):
            city = models.CharField(max_length=50)
            objects = Accounts()

        class Guest(Member):
            class Meta:
                proxy = True
    """,
    "members/routers.py": """
        class Router:
            alias = "north"

            def db_for_read(self, model, **hints):
                return self.alias

            db_for_write = db_for_read

            def allow_relation(self, *objects, **hints):
                return True

            def allow_migrate(self, db, *names, **hints):
                return db != "default"
    """,
    "site_settings.py": """
        from pathlib import Path

        HERE = Path(__file__).parent
        SECRET_KEY = "for this test only " * 4
        DATABASES = {
            name: {"ENGINE": "django.db.backends.sqlite3", "NAME": HERE / name}
            for name in ("default", "north", "south")
        }
        DATABASE_ROUTERS = ["members.routers.Router"]
        DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
        USE_TZ = True
        TIME_ZONE = "Pacific/Apia"
        ALLOWED_HOSTS = ["testserver"]
        AUTH_USER_MODEL = "members.Member"
        INSTALLED_APPS = [
            "django.contrib.auth", "django.contrib.contenttypes", "members",
            "rest_framework", "knox", "authx",
        ]
        MIDDLEWARE = [
            "authx.rest.middleware.RequestContextMiddleware", "authx.rest.middleware.APIMiddleware",
        ]
        KNOX_TOKEN_MODEL = "authx.DeviceSession"
        MIGRATION_MODULES = {"knox": None}
        AUTHENTICATION_BACKENDS = ["authx.passwords.backends.ModelBackend"]
        PASSWORD_HASHERS = [
            "django.contrib.auth.hashers.MD5PasswordHasher",
            "django.contrib.auth.hashers.PBKDF2PasswordHasher",
        ]
        REST_FRAMEWORK = {
            "DEFAULT_AUTHENTICATION_CLASSES": ["authx.rest.authentication.TokenAuthentication"],
            "NUM_PROXIES": 0,
        }
        ROOT_URLCONF = "site_urls"
    """,
    "site_urls.py": """
        from django.http import JsonResponse
        from django.urls import include, path
        from rest_framework.decorators import api_view
        from rest_framework.response import Response

        @api_view()
        def where(request):
            member = request.user
            return Response([type(member).__name__, member.city, member.email, str(member.pk)])

        urlpatterns = [path("users/", include("authx.urls")), path("where", where)]
    """,
    "story.py": """
        import json
        import django
        django.setup()
        from django.contrib.auth import get_user_model
        from django.contrib.auth.hashers import PBKDF2PasswordHasher
        from django.core.management import call_command
        from django.db import connections
        from django.test import Client
        from members.models import Account, Guest
        from members.routers import Router
        from authx.models import DeviceSession, SecurityEvent

        def migrate(*aliases):
            call_command("makemigrations", "members", verbosity=0)
            for alias in aliases:
                call_command("migrate", database=alias, verbosity=0)

        def token_of(pair):
            return {"authorization": f"Bearer {pair['access_token']}"}

        def tell():
            client, body = Client(), {"content_type": "application/json"}
            member = get_user_model().objects.create_user("ann@example.com", "a long password")
            login = {"email": "ann@example.com", "password": "a long password"}
            first = client.post("/users/login", login, **body).json()
            where = client.get("/where", headers=token_of(first)).json()
            grant = {"grant_type": "refresh_token", "refresh_token": first["refresh_token"]}
            keyed = body | {"headers": {"idempotency-key": "a-key-of-the-app"}}
            second = client.post("/users/token", grant, **keyed).json()
            me = client.get("/users/me", headers=token_of(second))
            retried = client.post("/users/token", grant, **keyed).json()
            row = DeviceSession.objects.get()
            client.post("/users/login", login, **body)
            devices = client.get("/users/devices", headers=token_of(second)).json()
            get_user_model().objects.update(is_active=False)
            inactive = client.get("/where", headers=token_of(second)).status_code
            get_user_model().objects.update(is_active=True)
            out = client.post("/users/logout", headers=token_of(second)).status_code
            after = client.get("/where", headers=token_of(second)).status_code
            refused = client.post("/users/token", grant, **keyed).json()["error"]

            first = client.post("/users/login", login, **body).json()
            outdated = PBKDF2PasswordHasher().encode(login["password"], "salt", iterations=1)
            get_user_model().objects.update(password=outdated)
            member.refresh_from_db()
            DeviceSession.objects.update(auth_hash=member.get_session_auth_hash())
            client.post("/users/login", login, **body)
            member.refresh_from_db()
            upgraded = [member.password != outdated, client.get("/where", headers=token_of(first))]

            guest = Guest.objects.get()
            guest.is_active = False
            guest.save()
            guest.is_active = True
            guest.save()
            client.post("/users/login", login, **body)
            client.post("/users/login", login, **body)
            parent = Account.objects.get(pk=member.pk)
            parent.is_active = False
            parent.save()
            parent.is_active = True
            parent.save()
            client.post("/users/login", login, **body)
            other = {"north": "south", "south": "north"}[Router.alias]
            Guest.objects.using(Router.alias).get().save(using=other)
            elsewhere = Guest.objects.using(other).get(pk=member.pk)
            elsewhere.is_active = False
            elsewhere.save(using=other)
            elsewhere.delete(using=other)
            kept = DeviceSession.objects.filter(revoked_at=None).count()
            guest.delete()
            kinds = SecurityEvent.objects.filter(kind__in=["deactivated", "deleted"])
            print(json.dumps({
                "where": where == ["Member", "Ghent", "ann@example.com", str(member.pk)],
                "rotated": second["refresh_token"] != first["refresh_token"],
                "me": me.json().get("username"),
                "retried": retried["refresh_token"] == second["refresh_token"],
                "row": [row._state.db, row.generation, row.confirmed_at is not None],
                "devices": [device["current"] for device in devices],
                "ends": [inactive, out, after, refused],
                "upgraded": [upgraded[0], upgraded[1].status_code],
                "kept": kept,
                "by proxy": [event.kind for event in kinds.order_by("pk")],
                "tables": len(connections["default"].introspection.table_names()),
            }))

        migrate("north", "south")
        for Router.alias in ("north", "south"):
            tell()
    """,
}


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """Return what the story tells of each of the two databases."""
    project = tmp_path_factory.mktemp("project")
    for name, code in PROJECT.items():
        path = project / name
        path.parent.mkdir(exist_ok=True)
        path.write_text("\n".join(line.removeprefix(" " * 8) for line in code.splitlines()))
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith(FOREIGN)}
    of_project = {"PYTHONPATH": f"{project}:{ROOT}", "DJANGO_SETTINGS_MODULE": "site_settings"}
    ran = subprocess.run(
        [sys.executable, "-W", "error", project / "story.py"],
        cwd=project,
        env=inherited | of_project,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


@pytest.mark.parametrize("number", [0, 1])
def test_a_custom_user_signs_in_calls_refreshes_retries_and_signs_out(
    told: list[dict[str, Any]], number: int
) -> None:
    assert told[number] == {
        "where": True,
        "rotated": True,
        "me": "ann@example.com",
        "retried": True,
        "row": [["north", "south"][number], 1, True],
        "devices": [False, True],
        "ends": [401, 204, 401, "invalid_grant"],
        "upgraded": [True, 200],
        "kept": 1,
        "by proxy": ["deactivated", "deactivated", "deleted"],
        "tables": 0,
    }


@pytest.mark.django_db
def test_a_lifetime_changed_after_the_first_refresh_is_followed(
    clock: Clock, phone: Phone, settings: Any
) -> None:
    phone.refresh()
    settings.REST_KNOX = settings.REST_KNOX | {"TOKEN_TTL": timedelta(minutes=1)}
    settings.AUTHX = settings.AUTHX | {"REFRESH_TOKEN_TTL": timedelta(minutes=2)}
    phone.refresh()
    assert phone.pair["expires_in"] == 60
    assert phone.pair["refresh_token_expires_in"] == 120
    clock.forward(seconds=60)
    assert not phone.is_signed_in
    clock.forward(seconds=60)
    assert phone.try_refresh().status_code == 400


@pytest.mark.django_db
def test_a_hash_algorithm_changed_after_the_first_refresh_is_followed(
    phone: Phone, settings: Any
) -> None:
    assert phone.refresh().is_signed_in
    changed = {"SECURE_HASH_ALGORITHM": "hashlib.sha3_512"}
    settings.REST_KNOX = settings.REST_KNOX | changed
    # The tokens of before are of no use, and no theft.
    assert phone.call().status_code == 401
    assert phone.try_refresh().status_code == 400
    assert DeviceSession.objects.get().revoked_at is None
    assert phone.sign_in().refresh().is_signed_in


@pytest.mark.postgresql
@pytest.mark.django_db
def test_nothing_is_prepared_on_the_server_so_pgbouncer_may_share_connections(
    phone: Phone,
) -> None:
    _ = [phone.refresh().call() for _ in range(12)]
    assert connection.connection.prepare_threshold is None
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)
