"""Users that are saved by migrations, fixtures and models of others."""

import json
import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest
from django.apps import apps
from django.contrib.auth.models import User
from django.core.management import call_command
from django.db import connection
from django.test.utils import isolate_apps

from authx import receivers
from authx.models import DeviceSession, SecurityEvent
from tests.phone import Phone
from tests.shop import FOREIGN, ROOT

PROJECT = {
    "accounts/__init__.py": "",
    "accounts/migrations/__init__.py": "",
    "accounts/models.py": "",
    "accounts/apps.py": """
        from django.apps import AppConfig
        from django.contrib.auth import get_user_model
        from django.db.models.signals import post_migrate

        def save_guest(**_):
            User = get_user_model()
            guest, _ = User.objects.get_or_create(username="guest", defaults={"is_active": False})
            guest.set_password("a long password")
            guest.save()

        class AccountsConfig(AppConfig):
            name = "accounts"

            def ready(self):
                post_migrate.connect(save_guest, sender=self)
    """,
    "accounts/migrations/0001_system_user.py": """
        from django.contrib.auth import get_user_model
        from django.db import migrations

        def save_system_user(apps, schema_editor):
            # The real model, as many projects do.
            user = get_user_model().objects.create_user("system", password="x", is_active=False)
            user.set_password("y")
            user.save()

        class Migration(migrations.Migration):
            dependencies = [("auth", "0012_alter_user_first_name_max_length")]
            operations = [migrations.RunPython(save_system_user)]
    """,
    "project.py": """
        import sys
        from django.conf import settings

        settings.configure(
            SECRET_KEY="for this test only " * 4,
            DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
            INSTALLED_APPS=[
                "accounts", "django.contrib.auth", "django.contrib.contenttypes", "knox", "authx",
            ],
            KNOX_TOKEN_MODEL="authx.DeviceSession",
            MIGRATION_MODULES={"knox": None},
            USE_TZ=True,
        )

        import django
        django.setup()
        from django.contrib.auth import get_user_model
        from django.core.management import call_command
        from authx.models import SecurityEvent

        # The tables of authx are still missing after the first.
        call_command("migrate", "accounts", verbosity=0, skip_checks=True)
        call_command("migrate", verbosity=0, skip_checks=True)
        kinds = SecurityEvent.objects.order_by("pk").values_list("kind", "user__username")
        print(sorted(get_user_model().objects.values_list("username", flat=True)), list(kinds))
    """,
}


def test_a_system_user_that_a_migration_saves_does_not_break_migrate(tmp_path: Path) -> None:
    for name, code in PROJECT.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(dedent(code))
    inherited = {name: os.environ[name] for name in os.environ if not name.startswith(FOREIGN)}
    ran = subprocess.run(
        [sys.executable, "-W", "error", "project.py"],
        cwd=tmp_path,
        env=inherited | {"PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    # What the second `migrate` saves is recorded, because the tables are there by then.
    assert ran.stdout.strip() == "['guest', 'system'] [('password_changed', 'guest')]"


@pytest.mark.django_db
def test_while_tables_are_missing_nothing_is_recorded(
    alice: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    receivers.note_migration(using="default")
    introspection = connection.introspection
    with monkeypatch.context() as missing:
        missing.setattr(introspection, "table_names", list)
        alice.set_password("another long passphrase")
        alice.save()
    assert not SecurityEvent.objects.exists()
    alice.set_password("another long passphrase")
    alice.save()
    assert SecurityEvent.objects.get().kind == "password_changed"
    assert not receivers._migrating


@pytest.mark.django_db
def test_a_fixture_is_loaded_as_it_is(alice: User, phone: Phone, tmp_path: Path) -> None:
    fields = {"username": "alice", "password": alice.password, "is_active": False}
    row = {"model": "auth.user", "pk": alice.pk, "fields": fields}
    fixture = tmp_path / "users.json"
    fixture.write_text(json.dumps([row]))
    before = SecurityEvent.objects.count()
    call_command("loaddata", fixture, verbosity=0)
    assert SecurityEvent.objects.count() == before
    # Refused all the same, because the user is inactive.
    assert not phone.is_signed_in


@pytest.mark.django_db
@isolate_apps("tests")
def test_a_proxy_that_is_defined_late_leaves_its_trace(alice: User, phone: Phone) -> None:
    class Member(User):
        class Meta:
            proxy = True
            app_label = "tests"

    assert Member not in apps.get_models()
    member = Member.objects.get(pk=alice.pk)
    member.is_active = False
    member.save()
    assert DeviceSession.objects.get().revoked_reason == "deactivated"
    member.is_active = True
    member.save()
    Phone().sign_in()
    member.delete()
    assert SecurityEvent.objects.filter(kind="deleted").count() == 1
