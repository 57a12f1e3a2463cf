"""No migration locks a table in use, or breaks the version that still runs beside it."""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.postgres.functions import RandomUUID
from django.contrib.postgres.operations import (
    AddConstraintNotValid,
    AddIndexConcurrently,
)
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django.db.models.functions import Lower, Now

from tests.migration_rules import findings

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

OURS = ("authx", "authx_introspection")
INDEX = models.Index(fields=["last_used_at"], name="used")
MODEL = "devicesession"
CHECK = models.CheckConstraint(condition=models.Q(generation__gte=0), name="positive")
UNIQUE = models.UniqueConstraint(fields=["generation"], name="unique_generation")
GENERATED = models.GeneratedField(
    expression=Lower("platform"), output_field=models.CharField(max_length=9), db_persist=True
)


def all_migrations() -> list[tuple[str, str]]:
    return [key for key in MigrationLoader(None).disk_migrations if key[0] in OURS]


def sql_of(app: str, name: str) -> list[str]:
    out = StringIO()
    call_command("sqlmigrate", app, name, stdout=out, no_color=True)
    return [out.getvalue()]


def test_no_migration_of_ours_locks_a_table_in_use_or_breaks_the_running_version() -> None:
    assert {app for app, _ in all_migrations()} == set(OURS)
    assert {key: findings(sql_of(*key)) for key in all_migrations()} == {
        key: [] for key in all_migrations()
    }


def test_no_migration_runs_code_that_no_rule_can_read() -> None:
    migrations_of_ours = MigrationLoader(None).disk_migrations
    assert [
        key
        for key in all_migrations()
        for operation in migrations_of_ours[key].operations
        if isinstance(operation, migrations.RunPython)
        # It sets a storage parameter of the table that it creates.
    ] == [("authx", "0001_initial")]


def sql_of_operation(operation: Operation) -> list[str]:
    """Return the SQL of one more migration after those of authx."""
    before = MigrationLoader(connection).project_state()
    after = before.clone()
    operation.state_forwards("authx", after)
    is_atomic = getattr(operation, "atomic", True)
    with connection.schema_editor(collect_sql=True, atomic=False) as editor:
        operation.database_forwards("authx", editor, before, after)
    begin, end = (["BEGIN;"], ["COMMIT;"]) if is_atomic else ([], [])
    return [*begin, *map(str, editor.collected_sql), *end]


def add(**options: Any) -> Operation:
    return add_field(models.CharField(max_length=9, **options))


def add_field(field: "models.Field[Any, Any]") -> Operation:
    return migrations.AddField(MODEL, "note", field)


@pytest.mark.parametrize(
    ("operation", "expected"),
    [
        (lambda: add(null=True), []),
        (lambda: add(default="", db_default=""), []),
        (lambda: add(default=""), ["NOT_NULL"]),
        (lambda: migrations.AddIndex(MODEL, INDEX), ["CREATE_INDEX"]),
        (lambda: migrations.RemoveField(MODEL, "platform"), ["DROP_COLUMN"]),
        (lambda: migrations.RenameField(MODEL, "platform", "system"), ["RENAME_COLUMN"]),
        (lambda: migrations.AlterModelTable(MODEL, "sessions"), ["RENAME_TABLE"]),
        (
            lambda: migrations.AlterField(MODEL, "generation", models.BigIntegerField(default=0)),
            ["ALTER_COLUMN"],
        ),
        (lambda: migrations.AddConstraint(MODEL, CHECK), ["ADD_CHECK"]),
        (lambda: add_field(models.PositiveIntegerField(null=True)), ["ADD_CHECK"]),
        (lambda: AddConstraintNotValid(MODEL, CHECK), []),
        (lambda: migrations.AddConstraint(MODEL, UNIQUE), ["ADD_UNIQUE"]),
        (lambda: add(null=True, unique=True), ["ADD_UNIQUE"]),
        (lambda: add_field(GENERATED), ["GENERATED_COLUMN"]),
        (lambda: add_field(models.UUIDField(db_default=RandomUUID())), ["VOLATILE_DEFAULT"]),
        (lambda: add_field(models.DateTimeField(db_default=Now())), []),
        (lambda: add_field(models.BooleanField(db_default=False)), []),
        (lambda: add_field(models.IntegerField(db_default=-3)), []),
        (lambda: add_field(models.JSONField(db_default={"a": ["it's"]})), []),
    ],
)
def test_the_rule_sees_what_a_busy_service_would_notice(
    operation: Callable[[], Operation], expected: list[str]
) -> None:
    found = findings(sql_of_operation(operation()))
    assert set(expected) <= set(found)
    assert bool(found) == bool(expected)


# Django refuses the operation inside a transaction; nothing is executed.
@pytest.mark.django_db(transaction=True)
def test_an_index_that_is_built_beside_the_requests_is_allowed() -> None:
    sql = sql_of_operation(AddIndexConcurrently(MODEL, INDEX))
    assert "CONCURRENTLY" in str(sql)
    assert findings(sql) == []


@pytest.mark.parametrize(
    ("sql", "expected"),
    [
        ("UPDATE authx_devicesession SET note = ''", ["CHANGE_ROWS"]),
        ("delete from authx_devicesession", ["CHANGE_ROWS"]),
        ("-- All of them\n/* at once */ UPDATE authx_devicesession SET note = ''", ["CHANGE_ROWS"]),
        ("ALTER TABLE authx_devicesession\n  ADD COLUMN note text UNIQUE", ["ADD_UNIQUE"]),
        ("alter table authx_devicesession add note text unique", ["ADD_UNIQUE"]),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c (d)", ["ADD_FOREIGN_KEY"]),
        ("ALTER TABLE a ADD FOREIGN KEY (b) REFERENCES c (d) NOT VALID", []),
        ("ALTER TABLE a VALIDATE CONSTRAINT b", []),
        ("ALTER TABLE a ADD b bigserial", ["GENERATED_COLUMN"]),
        ("ALTER TABLE a ADD b timestamptz DEFAULT clock_timestamp()", ["VOLATILE_DEFAULT"]),
        ("ALTER TABLE a SET UNLOGGED", ["REWRITE"]),
        ("ALTER TABLE a SET (fillfactor = 50)", []),
        ("VACUUM FULL authx_devicesession", ["LOCK_TABLE"]),
        ("VACUUM (ANALYZE, FULL) authx_devicesession", ["LOCK_TABLE"]),
        ("VACUUM authx_devicesession", []),
        ("LOCK TABLE authx_devicesession", ["LOCK_TABLE"]),
        ('CREATE TABLE "a" ("b" int); ALTER TABLE "a" ADD CONSTRAINT "c" CHECK ("b" > 0)', []),
        ('CREATE TABLE "a" ("b" int); ALTER TABLE "ab" ADD CHECK ("b" > 0)', ["ADD_CHECK"]),
    ],
)
def test_the_rules_see_what_is_written_by_hand(sql: str, expected: list[str]) -> None:
    found = findings(sql_of_operation(migrations.RunSQL(sql)))
    assert set(expected) <= set(found)
    assert bool(found) == bool(expected)


def test_a_constraint_is_not_validated_in_the_migration_that_adds_it() -> None:
    validate = "ALTER TABLE authx_devicesession VALIDATE CONSTRAINT positive"
    added = sql_of_operation(AddConstraintNotValid(MODEL, CHECK))
    assert findings([*added, validate]) == ["VALIDATE_UNDER_LOCK"]
