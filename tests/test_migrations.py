"""No migration locks a table in use, or breaks the version that still runs beside it.

The linter reads the SQL. It knows nothing of how large a table is, so a table that a migration
creates itself may be anything.
"""

from collections.abc import Callable
from io import StringIO
from typing import Any

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.core.management import call_command
from django.db import connection, migrations, models
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.operations.base import Operation
from django_migration_linter.sql_analyser.analyser import analyse_sql_statements
from django_migration_linter.sql_analyser.postgresql import PostgresqlAnalyser

pytestmark = [pytest.mark.django_db, pytest.mark.postgresql]

OURS = ("authx", "authx_introspection")
INDEX = models.Index(fields=["last_used_at"], name="used")
MODEL = "devicesession"


def findings(sql: list[str]) -> list[str]:
    """Return the codes of what the linter finds in the statements of one migration."""
    errors, ignored, warnings = analyse_sql_statements(PostgresqlAnalyser, sql)
    assert not ignored
    return [issue.code for issue in [*errors, *warnings]]


def all_migrations() -> list[tuple[str, str]]:
    return [key for key in MigrationLoader(None).disk_migrations if key[0] in OURS]


def sql_of(app: str, name: str) -> list[str]:
    out = StringIO()
    call_command("sqlmigrate", app, name, stdout=out, no_color=True)
    lines = [line for line in out.getvalue().splitlines() if not line.startswith("--")]
    return [line for line in lines if line]


def test_no_migration_of_ours_locks_a_table_in_use_or_breaks_the_running_version() -> None:
    assert {app for app, _ in all_migrations()} == set(OURS)
    assert {key: findings(sql_of(*key)) for key in all_migrations()} == {
        key: [] for key in all_migrations()
    }


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
    return migrations.AddField(MODEL, "note", models.CharField(max_length=9, **options))


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
