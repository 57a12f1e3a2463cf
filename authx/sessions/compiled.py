"""Statements whose SQL Django's compiler builds only once per process and database alias.

Building the same SQL for every request takes longer than the rest of it. It is still Django's SQL,
so it follows the user model, database routers and backends; values are always parameters.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from importlib import import_module
from typing import Any, Generic, TypeVar

from django.db import connections, models
from django.db.models import Expression, Field
from django.db.models.query import get_related_populators  # type: ignore[attr-defined]
from django.db.models.sql import UpdateQuery

M = TypeVar("M", bound=models.Model)


class Parameter(Expression):
    """A placeholder in a statement for a value that is given at execution."""

    def __init__(self, name: str, field: "Field[Any, Any]") -> None:
        super().__init__(output_field=field)
        self.name = name

    def as_sql(self, compiler: Any, connection: Any) -> tuple[str, list[Any]]:
        return "%s", [self]


@contextmanager
def quick_cursor(connection: Any) -> Iterator[Any]:
    """Open a cursor that does more in C than Django's own on PostgreSQL.

    The server binds the parameters, without a prepared statement, as with Django's option
    `server_side_binding`; and psycopg's own loader reads the timestamps, a dozen per row.
    """
    with connection.cursor() as cursor:
        # Django's own cursor logs queries with their values; psycopg 2 has no other.
        if connection.vendor == "postgresql" and not connection.queries_logged:
            postgresql = import_module("django.db.backends.postgresql.base")
            if server_binding := getattr(postgresql, "ServerBindingCursor", None):
                cursor.cursor = server_binding(connection.connection)
                cursor.cursor.adapters.register_loader("timestamptz", _instant_loader())
        yield cursor


@cache
def _instant_loader() -> Any:
    # Imported here because other databases need no psycopg.
    psycopg = import_module("psycopg")
    oid = psycopg.adapters.types["timestamptz"].oid
    return psycopg.adapters.get_loader(oid, psycopg.pq.Format.TEXT)


class _Statement:
    """SQL and its parameters, some of which are placeholders."""

    def __init__(self, sql: str, parameters: Sequence[Any]) -> None:
        self._sql = sql
        self._parameters = parameters

    def execute(self, cursor: Any, connection: Any, values: Mapping[str, Any]) -> None:
        cursor.execute(self._sql, list(self._bound(connection, values)))

    def _bound(self, connection: Any, values: Mapping[str, Any]) -> Iterator[Any]:
        # The driver of PostgreSQL accepts the Python value of every column as it is.
        is_native = connection.vendor == "postgresql"
        for parameter in self._parameters:
            if not isinstance(parameter, Parameter):
                yield parameter
            elif is_native:
                yield values[parameter.name]
            else:
                field: Any = parameter.output_field
                yield field.get_db_prep_save(values[parameter.name], connection=connection)


class CompiledSelect(Generic[M]):
    """Reads one row of a query set, with related rows and annotations."""

    def __init__(self, build: Callable[[], models.QuerySet[M]]) -> None:
        self._build = build
        self._plans: dict[str, _SelectPlan[M]] = {}

    def get(self, *, using: str, **values: Any) -> M | None:
        """Return the row for these parameters, or None."""
        plan = self._plans.get(using)
        if plan is None:
            plan = _SelectPlan(self._build().using(using))
            # The converters of other databases belong to the connection of one thread.
            if connections[using].vendor == "postgresql":
                self._plans[using] = plan
        return plan.get(values)


class _SelectPlan(Generic[M]):
    """What Django prepares for a query before it reads rows (as its ModelIterable does)."""

    def __init__(self, query_set: models.QuerySet[M]) -> None:
        self._alias = query_set.db
        compiler = query_set.query.get_compiler(using=self._alias)
        self._statement = _Statement(*compiler.as_sql())
        self._model = query_set.model
        select, klass_info = compiler.select, compiler.klass_info
        columns = klass_info["select_fields"]
        self._columns = slice(columns[0], columns[-1] + 1)
        self._names = [select[position][0].target.attname for position in columns]
        self._annotations = list(compiler.annotation_col_map.items())
        # Since Django 6.1, a query set says how its rows fetch what they lack.
        modes = [vars(query_set)[name] for name in ("_fetch_mode",) if name in vars(query_set)]
        self._populators = get_related_populators(klass_info, select, self._alias, *modes)
        # For each position its converters, and the expression that is passed to them.
        self._converters = compiler.get_converters([column[0] for column in select]).items()

    def get(self, values: Mapping[str, Any]) -> M | None:
        connection = connections[self._alias]
        with quick_cursor(connection) as cursor:
            self._statement.execute(cursor, connection, values)
            fetched = cursor.fetchone()
        if fetched is None:
            return None
        row = list(fetched)
        for position, (converters, expression) in self._converters:
            for convert in converters:
                row[position] = convert(row[position], expression, connection)
        found = self._model.from_db(self._alias, self._names, row[self._columns])
        for populator in self._populators:
            populator.populate(row, found)
        for name, position in self._annotations:
            setattr(found, name, row[position])
        return found


class CompiledUpdate:
    """Updates rows of a query set."""

    def __init__(
        self, build: Callable[[], models.QuerySet[Any]], changes: Callable[[], Mapping[str, Any]]
    ) -> None:
        self._build = build
        self._changes = changes
        self._statements: dict[str, _Statement] = {}

    def execute(self, *, using: str, **values: Any) -> int:
        """Return how many rows were changed."""
        statement = self._statements.get(using)
        if statement is None:
            statement = self._statements[using] = self._compile(using)
        connection = connections[using]
        with quick_cursor(connection) as cursor:
            statement.execute(cursor, connection, values)
            count: int = cursor.rowcount
        return count

    def _compile(self, using: str) -> _Statement:
        query: Any = self._build().query.chain(UpdateQuery)
        query.add_update_values(self._changes())
        return _Statement(*query.get_compiler(using=using).as_sql())
