"""dlt's BigQuery destination, extended twice: nested columns stay nested, and a load job replaces exactly its scope.

One load job is one Parquet file: a free load job into a staging table of its own, a count, and one `MERGE ... ON FALSE`
with literal days and accounts (docs/decisions/0031-one-merge.md). Readers see the old rows or the new ones.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dlt.common.configuration import configspec
from dlt.common.configuration.specs import GcpServiceAccountCredentialsWithoutDefaults
from dlt.common.destination.client import LoadJob, PreparedTableSchema, RunnableLoadJob
from dlt.common.schema.typing import TColumnSchema, TColumnType
from dlt.common.typing import TSecretStrValue
from dlt.destinations.exceptions import DatabaseTerminalException
from dlt.destinations.impl.bigquery.bigquery import BigQueryClient
from dlt.destinations.impl.bigquery.factory import BigQueryTypeMapper
from dlt.destinations.impl.bigquery.factory import bigquery as bigquery_destination

from adelt_sources.bigquery import Connection
from adelt_sources.bigquery_tables import qualified, schema
from adelt_sources.catalog import TableSpec
from adelt_sources.errors import SourceError
from adelt_sources.nested import NestedDestination
from adelt_sources.scope import Swap

STAGING = "_adelt_staging"  # dataset for files on their way in; its tables expire
STAGING_DAYS = 1


def swap(connection: Connection, spec: TableSpec, file: Path, what: Swap, job_id: str) -> None:
    """Replace the rows of a scope by those of a file, in one statement.

    Args:
        connection: Where; the table and the staging dataset are there.
        spec: The table.
        file: Parquet file with its columns.
        what: Scope and number of rows; without a scope the rows are added.
        job_id: Begins the ids of the jobs; a second call with the same one does nothing twice.

    Raises:
        SourceError: A job failed, or the count differs; the table is as it was.
        InputError: It cannot work; the table is as it was.
    """
    target = qualified(connection, spec)
    if what.scope is None:
        loaded = connection.load(file, target, schema(spec.columns), f"{job_id}_append", append=True)
        _check(loaded, what.rows, target)
        return
    if not what.rows and not what.scope.keys:
        connection.run(empty_sql(connection, spec, what), f"{job_id}_empty", where=target)
        return
    stage = f"{connection.warehouse.dataset(STAGING)}.{spec.dataset}__{spec.table}__{job_id}"[:1000]
    loaded = connection.load(file, stage, schema(spec.columns), f"{job_id}_load", append=False, where=target)
    _check(loaded, what.rows, target)
    connection.run(merge_sql(connection, spec, what, stage), f"{job_id}_merge", where=target)
    connection.drop(stage)


def merge_sql(connection: Connection, spec: TableSpec, what: Swap, stage: str) -> str:
    """The statement that swaps the rows of a scope for those of a staging table."""
    assert what.scope is not None
    project = connection.warehouse.project
    names = ", ".join(f"`{column.name}`" for column in spec.columns)
    head = f"MERGE `{project}.{qualified(connection, spec)}` AS t\n"
    if what.scope.keys:
        on = " AND ".join(f"t.`{key}` = s.`{key}`" for key in what.scope.keys)
        update = ", ".join(
            f"`{c.name}` = s.`{c.name}`" for c in spec.columns if c.name not in what.scope.keys
        )
        return (
            f"{head}USING `{project}.{stage}` AS s ON {on}\nWHEN MATCHED THEN UPDATE SET {update}\n"
            f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names})"
        )
    # Both sides have the same literal bounds: what does not belong to the scope can neither go nor come.
    return (
        f"{head}USING (SELECT {names} FROM `{project}.{stage}` WHERE {what.scope.bounds('', '`')}) AS s ON FALSE\n"
        f"WHEN NOT MATCHED BY SOURCE AND {what.scope.bounds('t.', '`')} THEN DELETE\n"
        f"WHEN NOT MATCHED THEN INSERT ({names}) VALUES ({names})"
    )


def empty_sql(connection: Connection, spec: TableSpec, what: Swap) -> str:
    """The statement that removes the rows of a scope."""
    assert what.scope is not None
    name = f"`{connection.warehouse.project}.{qualified(connection, spec)}`"
    return f"DELETE FROM {name} WHERE {what.scope.bounds('', '`')}"


def _check(loaded: int, rows: int, target: str) -> None:
    if loaded != rows:
        raise SourceError(
            f"BigQuery loaded {loaded} rows, {rows} were parsed",
            where=target,
            fix="the previous rows are still there; run it again",
        )


class SwapJob(RunnableLoadJob):
    """A load job of dlt that swaps."""

    def __init__(self, file_path: str, connection: Connection, spec: TableSpec, what: Swap) -> None:
        super().__init__(file_path)
        self._connection, self._spec, self._what = connection, spec, what

    def run(self) -> None:
        """Swap the rows; any error leaves the table as it was."""
        path = Path(self._file_path)
        # The name of dlt's file is new for each load: a killed load's jobs are never taken for this one's.
        job_id = f"adelt_{self._spec.dataset}_{path.name.replace('.', '_')}"[:900]
        try:
            swap(self._connection, self._spec, path, self._what, job_id)
        except SourceError as error:
            # dlt would try again, and then say that a job failed; the pipeline's retries know better, and so does this.
            self._connection.failure = error
            raise DatabaseTerminalException(error) from error


class NestedTypeMapper(BigQueryTypeMapper):
    """Lets nested Arrow types through as what the table, made from its declaration, has."""

    def ensure_supported_type(
        self, column: TColumnSchema, table: PreparedTableSchema, loader_file_format: str
    ) -> None:
        """Nested columns come as Parquet, which carries them."""
        if not (loader_file_format == "parquet" and column.get("x-nested-type")):
            super().ensure_supported_type(column, table, loader_file_format)

    def from_destination_type(
        self, db_type: str, precision: int | None = None, scale: int | None = None
    ) -> TColumnType:
        """The dlt type of a column that is there already."""
        if db_type.startswith(("STRUCT<", "ARRAY<")) or db_type in ("RECORD", "STRUCT"):
            return {"data_type": "json"}
        return super().from_destination_type(db_type, precision, scale)


@configspec
class GivenCredentials(GcpServiceAccountCredentialsWithoutDefaults):
    """Credentials that dlt must not look for: the connection has them."""

    project_id: str = ""
    private_key: TSecretStrValue = TSecretStrValue("held by the connection")
    client_email: str = "held-by-the-connection"


class NestedBigQuery(NestedDestination, bigquery_destination):
    """The BigQuery destination with native nested columns whose load jobs are swaps.

    Args:
        connection: Where to load; dlt uses its client for its own tables, too.
        swaps: Table name to declaration and what its load job does; other tables (dlt's own) are loaded as dlt does.
        **kwargs: Passed to dlt's BigQuery destination.
    """

    type_mapper = NestedTypeMapper

    def __init__(
        self, connection: Connection, swaps: Mapping[str, tuple[TableSpec, Swap]], **kwargs: Any
    ) -> None:
        given = GivenCredentials()
        given.project_id = connection.warehouse.project
        given.resolve()
        super().__init__(
            credentials=given,
            location=connection.warehouse.location,
            has_case_sensitive_identifiers=True,
            enable_atomic_replace=False,
            **kwargs,
        )
        self._connection, self._swaps = connection, swaps

    @property
    def client_class(self) -> type[BigQueryClient]:
        """A client class that knows this run's connection and swaps."""
        connection, swaps = self._connection, self._swaps

        class Client(BigQueryClient):
            def __init__(self, *args: Any, **kwargs: Any) -> None:
                super().__init__(*args, **kwargs)
                self.sql_client.credentials.to_native_credentials = lambda: connection.client._credentials

            def create_load_job(
                self, table: PreparedTableSchema, file_path: str, load_id: str, restore: bool = False
            ) -> LoadJob:
                if table["name"] in swaps:
                    spec, what = swaps[table["name"]]
                    return SwapJob(file_path, connection, spec, what)
                return super().create_load_job(table, file_path, load_id, restore)

        return Client
