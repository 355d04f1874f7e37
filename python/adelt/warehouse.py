"""Read the warehouse without getting in the way of those who write it."""

from pathlib import Path
from typing import Any

from adelt.errors import InputError


def ask(warehouse: Path, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The columns and rows of a query.

    The file is opened read-only, and under the writers' lock: DuckDB refuses readers while a process writes.

    Raises:
        InputError: There is no warehouse, or the query does not work.
    """
    import duckdb

    from adelt_sources.lock import warehouse_lock

    if not warehouse.exists():
        raise InputError(
            "there is no warehouse yet", where=str(warehouse), fix="run a pipeline, or `adelt demo`"
        )
    with warehouse_lock(warehouse, holder="query"):
        try:
            with duckdb.connect(str(warehouse), read_only=True) as con:
                result = con.execute(sql)
                return [column[0] for column in result.description or []], result.fetchall()
        except duckdb.Error as error:
            raise InputError(f"the query does not work: {error}", where=str(warehouse)) from error


def row_counts(warehouse: Path, schemas: tuple[str, ...]) -> dict[str, int]:
    """Rows of every table and view whose schema begins with one of `schemas`, the loader's own tables left out."""
    _, tables = ask(
        warehouse,
        "SELECT table_schema, table_name FROM information_schema.tables ORDER BY table_schema, table_name",
    )
    names = [
        f'"{schema}"."{table}"'
        for schema, table in tables
        if str(schema).startswith(schemas) and not str(table).startswith("_dlt_")
    ]
    if not names:
        return {}
    parts = [f"SELECT '{name}' AS name, count(*) AS n FROM {name}" for name in names]
    _, counted = ask(warehouse, " UNION ALL ".join(parts))
    return {str(name).replace('"', ""): int(count) for name, count in sorted(counted)}
