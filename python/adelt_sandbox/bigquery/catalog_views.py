"""Views that describe tables: `__TABLES__` and `INFORMATION_SCHEMA.COLUMN_FIELD_PATHS`, and the emulator's own made fast.

`dbt docs generate` joins them (dbt-bigquery's catalog macros); columns as in Google's reference of each. The emulator lacks
the first two. Its own it puts into the query as literal rows: thousands of them take it minutes to translate, and in a join
their columns lose their names. Here the rows are stored in a schema of its catalog, whose names it leaves alone, and the query
gets the name of the table.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

_NAME = r"(?:`?(?P<project>[\w-]+)`?\s*\.\s*)?`?(?P<dataset>\w+)`?\s*\.\s*"
_TABLES = re.compile(_NAME + r"`?__TABLES__`?", re.IGNORECASE)
_PATHS = re.compile(_NAME + r"INFORMATION_SCHEMA\s*\.\s*`?COLUMN_FIELD_PATHS`?", re.IGNORECASE)
_TABLE_TYPES = {"TABLE": 1, "VIEW": 2, "EXTERNAL": 3}
_TABLES_COLUMNS = "project_id, dataset_id, table_id, row_count, size_bytes, type"
_PATHS_COLUMNS = "table_catalog, table_schema, table_name, column_name, field_path, data_type, description"
_HEAD = "(SELECT * FROM (VALUES "  # how the emulator begins the rows of a view


def apply() -> None:
    """Patch the emulator."""
    import bqemulator.sql.inner_query as inner
    import bqemulator.sql.rewriter.information_schema as views

    engines: list[Any] = []  # the engine of the process, once it is known
    for view in ("_mv", "_columns", "_table_options", "_tables"):
        name = f"{view}_as_values"
        setattr(views, name, _stored_instead(getattr(views, name), view, engines))
    plain = inner.expand_information_schema

    def expand(sql: str, project: str, catalog: Any) -> str:
        engines[:] = [catalog._engine]
        sql = _TABLES.sub(lambda match: _view(catalog, _tables, _TABLES_COLUMNS, match, project), sql)
        sql = _PATHS.sub(lambda match: _view(catalog, _paths, _PATHS_COLUMNS, match, project), sql)
        return str(plain(sql, project, catalog))

    inner.expand_information_schema = expand


def _stored_instead(make: Callable[..., str], view: str, engines: list[Any]) -> Callable[..., str]:
    """A view of the emulator, stored: its rows are literals that DuckDB reads, too."""

    def made(tables: Any, project: str, dataset: str) -> str:
        text = make(tables, project, dataset)
        return _stored(engines[0], f"_schema{view}__{dataset}", text) if text.startswith(_HEAD) else text

    return made


def _view(
    catalog: Any,
    rows: Callable[[Any, str, str], Iterator[tuple[Any, ...]]],
    columns: str,
    match: re.Match[str],
    project: str,
) -> str:
    dataset = match["dataset"]
    values = ", ".join(
        f"({', '.join(map(_literal, row))})" for row in rows(catalog, match["project"] or project, dataset)
    )
    nothing = f"({', '.join(['NULL'] * len(columns.split(',')))})"
    text = f"{_HEAD}{values or nothing}) AS v({columns}){'' if values else ' WHERE FALSE'})"
    return _stored(catalog._engine, f"{rows.__name__}__{dataset}", text)


def _stored(engine: Any, name: str, text: str) -> str:
    """Store the rows of a query in DuckDB's SQL; the name of their table."""
    from bqemulator.storage.engine import CATALOG_SCHEMA

    table = f"{CATALOG_SCHEMA}.adelt{name}"
    engine.execute(f"CREATE OR REPLACE TABLE {table} AS {text}")
    return table


def _literal(value: Any) -> str:
    if value is None:
        return "NULL::VARCHAR"  # or a column without any text would be one of numbers
    return str(value) if isinstance(value, int) else "'" + str(value).replace("'", "''") + "'"


def _tables(catalog: Any, project: str, dataset: str) -> Iterator[tuple[Any, ...]]:
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    for table in catalog.list_tables(project, dataset):
        rows = 0
        if table.table_type == "TABLE":
            name = quoted_table_ref(project, dataset, table.table_id)
            rows = catalog._engine.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        kind = _TABLE_TYPES.get(table.table_type, 1)
        yield project, dataset, table.table_id, rows, table.num_bytes, kind


def _paths(catalog: Any, project: str, dataset: str) -> Iterator[tuple[Any, ...]]:
    from bqemulator.sql.rewriter.information_schema import _render_data_type

    for table in catalog.list_tables(project, dataset):
        for column in table.schema_.fields:
            for path, field in _fields(column, ""):
                kind = _render_data_type(field)
                yield project, dataset, table.table_id, column.name, path, kind, field.description or None


def _fields(field: Any, above: str) -> Iterator[tuple[str, Any]]:
    """A field and those below it, with their paths."""
    path = f"{above}{field.name}"
    yield path, field
    for below in field.fields:
        yield from _fields(below, f"{path}.")
