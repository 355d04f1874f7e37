"""Two views that describe tables and that the emulator lacks: `__TABLES__` and `INFORMATION_SCHEMA.COLUMN_FIELD_PATHS`.

`dbt docs generate` reads them (dbt-bigquery's catalog macros); columns as in Google's reference of each. Like the emulator's own
views they become a list of rows in the place of their name.
"""

import re
from collections.abc import Callable, Iterator
from typing import Any

import sqlglot
from sqlglot import exp

_NAME = r"(?:`?(?P<project>[\w-]+)`?\s*\.\s*)?`?(?P<dataset>\w+)`?\s*\.\s*"
_TABLES = re.compile(_NAME + r"`?__TABLES__`?", re.IGNORECASE)
_PATHS = re.compile(_NAME + r"INFORMATION_SCHEMA\s*\.\s*`?COLUMN_FIELD_PATHS`?", re.IGNORECASE)
_TABLE_TYPES = {"TABLE": 1, "VIEW": 2, "EXTERNAL": 3}
_TABLES_COLUMNS = "project_id, dataset_id, table_id, row_count, size_bytes, type"
_PATHS_COLUMNS = "table_catalog, table_schema, table_name, column_name, field_path, data_type, description"


def apply() -> None:
    """Patch the emulator."""
    import bqemulator.sql.inner_query as inner
    import bqemulator.sql.rewriter.information_schema as views

    # The emulator's own has no names of columns when there are no rows.
    views._empty_mv_values_subquery = lambda: _view(iter(()), ", ".join(views._MV_COLUMNS))
    for name in ("_columns_as_values", "_table_options_as_values", "_tables_as_values"):
        setattr(views, name, _named(getattr(views, name)))
    plain = inner.expand_information_schema

    def expand(sql: str, project: str, catalog: Any) -> str:
        if "__tables__" in sql.lower() or "column_field_paths" in sql.lower():
            sql = _TABLES.sub(
                lambda match: _view(_tables(catalog, *_place(match, project)), _TABLES_COLUMNS), sql
            )
            sql = _PATHS.sub(
                lambda match: _view(_paths(catalog, *_place(match, project)), _PATHS_COLUMNS), sql
            )
        return str(plain(sql, project, catalog))

    inner.expand_information_schema = expand


def _named(make: Callable[..., str]) -> Callable[..., str]:
    """The rows of an emulator's view with the names of the columns in each, which a join needs after the translation."""

    def made(*args: Any) -> str:
        text = make(*args)
        values = sqlglot.parse_one(text, read="duckdb").find(exp.Values)
        if values is None:
            return text
        names = [column.name for column in values.args["alias"].columns]
        rows = [[cell.sql(dialect="bigquery") for cell in row.expressions] for row in values.expressions]
        return _rows(rows, names)

    return made


def _place(match: re.Match[str], project: str) -> tuple[str, str]:
    return match["project"] or project, match["dataset"]


def _view(rows: Iterator[tuple[Any, ...]], columns: str) -> str:
    return _rows([[_literal(value) for value in row] for row in rows], columns.split(", "))


def _rows(rows: list[list[str]], names: list[str]) -> str:
    """Rows of SQL in the place of a table."""
    if not rows:
        return f"(SELECT {', '.join(f'CAST(NULL AS STRING) AS {name}' for name in names)} LIMIT 0)"
    values = [
        "STRUCT(" + ", ".join(f"{value} AS {name}" for value, name in zip(row, names, strict=True)) + ")"
        for row in rows
    ]
    return f"(SELECT {', '.join(f'r.{name} AS {name}' for name in names)} FROM UNNEST([{', '.join(values)}]) AS r)"


def _literal(value: Any) -> str:
    if value is None:
        return "CAST(NULL AS STRING)"
    if isinstance(value, int):
        return str(value)
    return "'" + str(value).replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n") + "'"


def _tables(catalog: Any, project: str, dataset: str) -> Iterator[tuple[Any, ...]]:
    from bqemulator.storage.sql_identifiers import quoted_table_ref

    for table in _listed(catalog, project, dataset):
        rows = 0
        if table.table_type == "TABLE":
            name = quoted_table_ref(project, dataset, table.table_id)
            rows = catalog._engine.execute(f"SELECT count(*) FROM {name}").fetchone()[0]
        kind = _TABLE_TYPES.get(table.table_type, 1)
        yield project, dataset, table.table_id, rows, table.num_bytes, kind


def _paths(catalog: Any, project: str, dataset: str) -> Iterator[tuple[Any, ...]]:
    for table in _listed(catalog, project, dataset):
        for column in table.schema_.fields:
            for path, field in _fields(column, ""):
                kind = _type(field)
                yield project, dataset, table.table_id, column.name, path, kind, field.description or None


def _listed(catalog: Any, project: str, dataset: str) -> list[Any]:
    return sorted(catalog.list_tables(project, dataset), key=lambda table: str(table.table_id))


def _fields(field: Any, above: str) -> Iterator[tuple[str, Any]]:
    """A field and those below it, with their paths."""
    path = f"{above}{field.name}"
    yield path, field
    for below in field.fields:
        yield from _fields(below, f"{path}.")


def _type(field: Any) -> str:
    from bqemulator.sql.rewriter.information_schema import _render_data_type

    return str(_render_data_type(field))
