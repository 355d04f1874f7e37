"""Read the warehouse without getting in the way of those who write it."""

from typing import Any

from adelt.errors import InputError
from adelt_sources.warehouse import DuckDb, Warehouse


def ask(warehouse: Warehouse, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The columns and rows of a query; nothing can be changed.

    Args:
        warehouse: Where to ask.
        sql: One query.

    Raises:
        InputError: There is no warehouse, or the query does not work.
    """
    if isinstance(warehouse, DuckDb):
        return _ask_duckdb(warehouse, sql)
    from adelt_sources import bigquery

    with bigquery.connected(warehouse) as connection:
        return connection.ask(sql)


def _ask_duckdb(warehouse: DuckDb, sql: str) -> tuple[list[str], list[tuple[Any, ...]]]:
    """The file is opened read-only, and under the writers' lock: DuckDB refuses readers while a process writes."""
    import duckdb

    from adelt_sources.lock import warehouse_lock

    if warehouse.is_gone:
        raise InputError(
            "there is no warehouse yet", where=str(warehouse), fix="run a pipeline, or `adelt demo`"
        )
    with warehouse_lock(warehouse.file, holder="query"):
        try:
            with duckdb.connect(str(warehouse.file), read_only=True) as con:
                result = con.execute(sql)
                return [column[0] for column in result.description or []], result.fetchall()
        except duckdb.Error as error:
            raise InputError(f"the query does not work: {error}", where=str(warehouse)) from error


def row_counts(warehouse: Warehouse, schemas: tuple[str, ...]) -> dict[str, int]:
    """Rows of every table and view whose schema begins with one of `schemas`, the loader's own tables left out."""
    names = [
        (schema, table)
        for schema, table in _tables(warehouse)
        if schema.startswith(schemas) and not table.startswith("_dlt_")
    ]
    if not names:
        return {}
    quote = '"' if isinstance(warehouse, DuckDb) else "`"
    parts = [
        f"SELECT '{schema}.{table}' AS name, count(*) AS n FROM {quote}{schema}{quote}.{quote}{table}{quote}"
        for schema, table in names
    ]
    _, counted = ask(warehouse, " UNION ALL ".join(parts))
    return {str(name): int(count) for name, count in sorted(counted)}


def _tables(warehouse: Warehouse) -> list[tuple[str, str]]:
    if isinstance(warehouse, DuckDb):
        sql = "SELECT table_schema, table_name FROM information_schema.tables ORDER BY ALL"
        return [(str(schema), str(table)) for schema, table in ask(warehouse, sql)[1]]
    from adelt_sources import bigquery

    with bigquery.connected(warehouse) as connection:
        return connection.tables()
