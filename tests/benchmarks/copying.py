"""Copies a row many times in SQL, and knows no more of a table than its model."""

from typing import Any

from django.db import connection, models


def copy_row(model: type[models.Model], key: Any, count: int, **expressions: str) -> None:
    """Insert so many copies of a row; an expression of SQL says how a column differs.

    `original` is the row in such an expression, and `number` counts the copies from one.
    """
    columns = {
        field.column: expressions.get(field.attname, f'original."{field.column}"')
        for field in model._meta.concrete_fields
        if not (field.generated or isinstance(field, models.AutoField))
    }
    table, primary_key = model._meta.db_table, model._meta.pk
    assert primary_key is not None
    names = ", ".join(f'"{name}"' for name in columns)
    with connection.cursor() as cursor:
        cursor.execute(
            f'INSERT INTO "{table}" ({names}) SELECT {", ".join(columns.values())}'
            f' FROM "{table}" AS original, generate_series(1, %s) AS number'
            f' WHERE original."{primary_key.column}" = %s',
            [count, primary_key.get_db_prep_value(key, connection)],
        )
