"""Make sure that every declared raw table is there, empty if nothing was ever loaded.

Who only loads DV360, or has no archive of Entity Read Files, gets marts too: the models find tables without rows.
"""

from collections.abc import Iterable
from pathlib import Path

from adelt_sources.catalog import TableSpec, catalog, sources


def ensure(warehouse: Path) -> list[str]:
    """Create the raw tables that are missing; tables that are there are left alone.

    The caller holds the warehouse's lock.

    Args:
        warehouse: DuckDB file; created if missing.

    Returns:
        The tables that were created, as `dataset.table`.
    """
    import duckdb  # late: planning and --help do not need it

    warehouse.parent.mkdir(parents=True, exist_ok=True)
    with duckdb.connect(str(warehouse)) as con:
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


def create_table(spec: TableSpec) -> str:
    """The statement that creates an empty raw table on DuckDB, as a load would create it."""
    from adelt_sources.types import duckdb_type  # late: needs Arrow

    columns = ", ".join(f'"{column.name}" {duckdb_type(column.type)}' for column in spec.columns)
    return f'CREATE TABLE "{spec.dataset}"."{spec.table}" ({columns})'


def _declared() -> Iterable[TableSpec]:
    for source in sources():
        yield from catalog(source).values()
