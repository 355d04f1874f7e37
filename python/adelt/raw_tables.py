"""Make sure that every declared raw table is there, empty if nothing was ever loaded.

Who only loads DV360, or has no archive of Entity Read Files, gets marts too: the models find tables without rows.
"""

from collections.abc import Iterable

from adelt_sources.catalog import TableSpec, catalog, sources
from adelt_sources.warehouse import BigQuery, DuckDb, Warehouse


def ensure(warehouse: Warehouse) -> list[str]:
    """Create the raw tables that are missing; tables that are there are left alone.

    The caller holds the lock of a DuckDB file.

    Args:
        warehouse: Where; created if missing.

    Returns:
        The tables that were created, as `dataset.table`.
    """
    return _ensure_duckdb(warehouse) if isinstance(warehouse, DuckDb) else _ensure_bigquery(warehouse)


def _ensure_duckdb(warehouse: DuckDb) -> list[str]:
    from adelt_sources.lock import opened  # late: planning and --help do not need it

    warehouse.file.parent.mkdir(parents=True, exist_ok=True)
    with opened(warehouse.file) as con:
        rows = con.execute("SELECT table_schema, table_name FROM information_schema.tables").fetchall()
        there = {f"{schema}.{table}" for schema, table in rows}
        missing = [spec for spec in _declared() if spec.qualified not in there]
        con.begin()
        for dataset in sorted({spec.dataset for spec in missing}):
            con.execute(f'CREATE SCHEMA IF NOT EXISTS "{dataset}"')
        for spec in missing:
            con.execute(create_table(spec))
        con.commit()
    return [spec.qualified for spec in missing]


def _ensure_bigquery(warehouse: BigQuery) -> list[str]:
    from adelt_sources import bigquery, bigquery_tables

    with bigquery.connected(warehouse) as connection:
        there = set(connection.tables())  # one request for each dataset instead of one for each table
        missing = [spec for spec in _declared() if (warehouse.dataset(spec.dataset), spec.table) not in there]
        for dataset in sorted({spec.dataset for spec in missing}):
            connection.ensure_dataset(warehouse.dataset(dataset))
        for spec in missing:
            bigquery_tables.ensure_table(connection, spec)
    return [spec.qualified for spec in missing]


def create_table(spec: TableSpec) -> str:
    """The statement that creates an empty raw table on DuckDB, as a load would create it."""
    from adelt_sources.types import duckdb_type  # late: needs Arrow

    columns = ", ".join(f'"{column.name}" {duckdb_type(column.type)}' for column in spec.columns)
    return f'CREATE TABLE "{spec.dataset}"."{spec.table}" ({columns})'


def _declared() -> Iterable[TableSpec]:
    for source in sources():
        yield from catalog(source).values()
