"""What a migration may not do to a table in use: the rules of the linter, and those that it lacks.

The rules read the SQL. They know nothing of how large a table is, so a table that a migration
creates itself may be anything.
"""

import re
from typing import Final

from django_migration_linter.sql_analyser.analyser import analyse_sql_statements
from django_migration_linter.sql_analyser.postgresql import PostgresqlAnalyser

ADD: Final = r"ALTER TABLE .*\bADD\b.*"
# A default that PostgreSQL stores once; for another, it writes every row anew.
CONSTANT: Final = r"(?:-?[\d.]+|'(?:[^']|'')*'(?:::\w+)?|TRUE|FALSE|NULL|STATEMENT_TIMESTAMP\(\))"
COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
# Of one statement in capitals, with single spaces.
RULES: Final = {
    # These read the whole table, and a foreign key another one, while nobody may write to it.
    "ADD_CHECK": rf"{ADD}\bCHECK\b(?!.*NOT VALID)",
    "ADD_FOREIGN_KEY": rf"{ADD}\bFOREIGN KEY\b(?!.*NOT VALID)",
    # These build an index, or write every row anew, while nobody may even read it.
    "ADD_UNIQUE": rf"{ADD}\b(?:UNIQUE|PRIMARY KEY)\b",
    "GENERATED_COLUMN": rf"{ADD}\b(?:GENERATED\b(?!.*VIRTUAL)|(?:BIG|SMALL)?SERIAL\b)",
    "VOLATILE_DEFAULT": rf"{ADD}\bDEFAULT (?!\(?{CONSTANT}\)?(?: |$))",
    "REWRITE": r"ALTER TABLE .* SET (?:LOGGED|UNLOGGED|TABLESPACE|ACCESS METHOD)\b",
    "LOCK_TABLE": r"(?:VACUUM\b.*\bFULL|CLUSTER|LOCK|REINDEX(?!.*CONCURRENTLY)|TRUNCATE)\b",
    # The rows stay locked until the migration ends.
    "CHANGE_ROWS": r"(?:UPDATE|DELETE|MERGE|INSERT|WITH|DO)\b",
}


def findings(sql: list[str]) -> list[str]:
    """Return the codes of what is found in the statements of one migration."""
    statements = _statements(sql)
    errors, ignored, warnings = analyse_sql_statements(PostgresqlAnalyser, statements)
    assert not ignored
    created = [f"ALTER {found[0]} " for one in statements if (found := _created(one))]
    old = [one for one in statements if not one.startswith(tuple(created))]
    ours = [code for code, rule in RULES.items() if any(re.match(rule, one) for one in old)]
    # The lock of the first lasts until the second has read the table.
    if "NOT VALID" in str(old) and "VALIDATE CONSTRAINT" in str(old):
        ours.append("VALIDATE_UNDER_LOCK")
    return [issue.code for issue in [*errors, *warnings]] + ours


def _created(statement: str) -> re.Match[str] | None:
    return re.match(r'TABLE "[^"]+"', statement.removeprefix("CREATE "))


def _statements(sql: list[str]) -> list[str]:
    """Return single statements as the linter and the rules expect them."""
    text = COMMENT.sub(" ", "\n".join(sql)).upper()
    return [statement for one in text.split(";") if (statement := " ".join(one.split()))]
