"""dlt's DuckDB destination, extended twice: nested columns stay nested, and a load job replaces exactly its scope.

dlt makes JSON of nested Arrow types in DuckDB (7 times the size, 60 to 280 times slower to query), and its merge
goes through a staging dataset and leaves stale rows behind when a report comes back empty. Here one load job is one
Parquet file, and one transaction: delete the scope, insert the file, check the count.
"""

from collections.abc import Mapping
from typing import Any

from dlt.common.destination.client import LoadJob, PreparedTableSchema
from dlt.common.libs.pyarrow import deserialize_type
from dlt.common.schema.typing import TColumnSchema, TColumnType
from dlt.destinations.exceptions import DatabaseTerminalException, DatabaseTransientException
from dlt.destinations.impl.duckdb.duck import DuckDbClient, DuckDbCopyJob
from dlt.destinations.impl.duckdb.factory import DuckDbTypeMapper
from dlt.destinations.impl.duckdb.factory import duckdb as duckdb_destination

from adelt_sources.nested import NestedDestination
from adelt_sources.scope import Swap, literal
from adelt_sources.types import duckdb_type_of_arrow

# A limit on what DuckDB reserves, not what it uses: the widest table of the catalogue stays under 250 MB resident.
WIDE_MEMORY = "1GB"


class ReplaceScopeJob(DuckDbCopyJob):
    """Delete the scope, insert the file, check the count: one transaction."""

    def __init__(self, file_path: str, swap: Swap) -> None:
        super().__init__(file_path)
        self._swap = swap

    def run(self) -> None:
        """Swap the rows; any error, or a count that differs, leaves the table as it was."""
        # DuckDB reserves a block for each leaf column of each thread, filled or not. Many wide rows fit with one thread;
        # records with hundreds of fields do not fit the usual limit however few rows there are.
        for relief in ("SET threads = 1", f"SET memory_limit = '{WIDE_MEMORY}'", ""):
            try:
                self._swap_rows()
                break
            except DatabaseTransientException as error:
                if not relief or "allocate" not in str(error):
                    raise
                self._job_client.sql_client.execute_sql(relief)

    def _swap_rows(self) -> None:
        client = self._job_client.sql_client
        table = client.make_qualified_table_name(self.load_table_name)
        file = f"read_parquet({literal(self._file_path)})"
        with client.begin_transaction():
            if self._swap.scope:
                client.execute_sql(f"DELETE FROM {table} WHERE {self._swap.scope.predicate(file)}")
            inserted = client.execute_sql(f"INSERT INTO {table} BY NAME SELECT * FROM {file}")
            loaded = inserted[0][0] if inserted else 0
            if loaded != self._swap.rows:
                raise DatabaseTerminalException(
                    ValueError(f"{loaded} rows were loaded into {table}, {self._swap.rows} were parsed")
                )


class NestedTypeMapper(DuckDbTypeMapper):
    """Maps Arrow's nested types to STRUCT and LIST instead of JSON."""

    def to_destination_type(self, column: TColumnSchema, table: PreparedTableSchema | None = None) -> str:
        """The DuckDB type of a column."""
        nested = column.get("x-nested-type")
        if column.get("data_type") == "json" and nested:
            return duckdb_type_of_arrow(deserialize_type(nested))
        return str(super().to_destination_type(column, table))

    def from_destination_type(
        self, db_type: str, precision: int | None = None, scale: int | None = None
    ) -> TColumnType:
        """The dlt type of a DuckDB column that is there already."""
        if db_type.startswith("STRUCT(") or db_type.endswith("[]"):
            return {"data_type": "json"}
        return super().from_destination_type(db_type, precision, scale)


class NestedDuckDb(NestedDestination, duckdb_destination):
    """The DuckDB destination with native nested columns whose load jobs are swaps.

    Args:
        swaps: Table name to what its load job does; other tables (dlt's own) are loaded as dlt does.
        **kwargs: Passed to dlt's DuckDB destination, `credentials` above all.
    """

    type_mapper = NestedTypeMapper

    def __init__(self, swaps: Mapping[str, Swap], **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._swaps = swaps

    @property
    def client_class(self) -> type[DuckDbClient]:
        """A client class that knows this run's swaps."""
        swaps = self._swaps

        class Client(DuckDbClient):
            def create_load_job(
                self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
            ) -> LoadJob:
                if table["name"] in swaps:
                    return ReplaceScopeJob(file_path, swaps[table["name"]])
                return super().create_load_job(table, file_path, load_id, restore)

        return Client
