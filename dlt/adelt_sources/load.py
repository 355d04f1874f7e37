"""Hand Parquet files to dlt and commit them: the only way into a raw table."""

import logging
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import duckdb
import pyarrow.parquet as pq
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from adelt_sources.catalog import TableSpec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.lock import opened, warehouse_lock
from adelt_sources.scope import Scope, Swap
from adelt_sources.warehouse import BigQuery, DuckDb, Warehouse

# Bounds the loading connection, so that a task's memory does not grow with the file.
LOAD_MEMORY = "180MB"


@dataclass(frozen=True)
class Part:
    """One file for one table.

    Attributes:
        table: Table name in the warehouse.
        file: Parquet file with the table's columns (all nullable).
        scope: Rows that the file replaces; None appends.
        spec: The table's declaration; BigQuery needs it to make the table, DuckDB does not.
    """

    table: str
    file: Path
    scope: Scope | None
    spec: TableSpec | None = None

    @property
    def rows(self) -> int:
        """Rows in the file, from its footer."""
        return int(pq.read_metadata(self.file).num_rows)


def load(
    name: str,
    dataset: str,
    parts: Sequence[Part],
    *,
    warehouse: Warehouse,
    work_dir: Path,
    labels: Mapping[str, str] | None = None,
    on_wait: Callable[[str], None] | None = None,
) -> Mapping[str, Any]:
    """Replace the scope of each part by the rows of its file.

    Extracting and normalising need no warehouse; only the load takes DuckDB's lock. dlt's working folder is new for each
    run: a leftover package of a killed run must never be loaded in place of this run's data.

    Args:
        name: Name of the dlt pipeline and schema, one for each source and table.
        dataset: Raw dataset.
        parts: Files to load; each is one transaction.
        warehouse: What to load; created if missing.
        work_dir: Folder of this run, on the same file system as the files (dlt links them).
        labels: For the jobs of a warehouse that bills them.
        on_wait: Called with the holder's name when another process is writing.

    Returns:
        What it cost, where the warehouse bills: bytes billed, slot milliseconds and job ids.

    Raises:
        SourceError: The load failed; each table is as it was, or complete.
        InputError: It cannot work: rights, location, another table of that name.
        KeyboardInterrupt: SIGINT or SIGTERM came; each table is as it was, or complete.
    """
    configure()
    state = work_dir / "dlt"
    shutil.rmtree(state, ignore_errors=True)
    try:
        if isinstance(warehouse, DuckDb):
            _load_duckdb(name, dataset, parts, warehouse, state, on_wait)
            return {}
        return _load_bigquery(name, dataset, parts, warehouse, state, labels or {})
    except (PipelineStepFailed, duckdb.Error) as failed:
        root = _root(failed)
        if isinstance(root, KeyboardInterrupt):  # how dlt says that it got SIGINT or SIGTERM
            raise KeyboardInterrupt from failed
        raise SourceError(
            f"the load did not commit: {_first_line(root)}",
            where=", ".join(f"{dataset}.{part.table}" for part in parts),
            fix="the previous rows are still there; run it again",
        ) from failed
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _load_duckdb(
    name: str,
    dataset: str,
    parts: Sequence[Part],
    warehouse: DuckDb,
    state: Path,
    on_wait: Callable[[str], None] | None,
) -> None:

    from adelt_sources.destination import NestedDuckDb

    file = warehouse.file.absolute()
    swaps = {part.table: Swap(part.scope, part.rows) for part in parts}
    destination = NestedDuckDb(swaps, destination_name="duckdb")
    pipeline = _prepared(name, dataset, parts, destination, state)
    with warehouse_lock(file, holder=name, on_wait=on_wait), _connected(file, state) as connection:
        pipeline.load(credentials=connection)


def _load_bigquery(
    name: str,
    dataset: str,
    parts: Sequence[Part],
    warehouse: BigQuery,
    state: Path,
    labels: Mapping[str, str],
) -> Mapping[str, Any]:
    from adelt_sources import bigquery, bigquery_destination, bigquery_tables

    with bigquery.connected(warehouse, {"table": parts[0].table, **labels}) as connection:
        connection.ensure_dataset(warehouse.dataset(dataset))
        connection.ensure_dataset(
            warehouse.dataset(bigquery_destination.STAGING), expires_after=bigquery_destination.STAGING_DAYS
        )
        swaps = {}
        for part in parts:
            assert part.spec is not None
            bigquery_tables.ensure_table(connection, part.spec)
            swaps[part.table] = (part.spec, Swap(part.scope, part.rows))
        destination = bigquery_destination.NestedBigQuery(connection, swaps, destination_name="bigquery")
        pipeline = _prepared(name, warehouse.dataset(dataset), parts, destination, state)
        try:
            pipeline.load()
        except PipelineStepFailed as failed:
            raise connection.failure or failed from failed
        return connection.cost.as_dict()


def _prepared(name: str, dataset: str, parts: Sequence[Part], destination: Any, state: Path) -> Any:
    """A pipeline with a package to load."""
    pipeline = dlt.pipeline(name, destination=destination, dataset_name=dataset, pipelines_dir=str(state))
    source = dlt.source(lambda: [_resource(part) for part in parts], name=name)
    pipeline.extract(source(), loader_file_format="parquet")
    pipeline.normalize()
    for part in parts:
        if part.table not in pipeline.default_schema.tables:
            called = pipeline.default_schema.naming.normalize_table_identifier(part.table)
            raise InputError(
                f"the table cannot be called `{part.table}`: dlt would call it `{called}`",
                where=f"{dataset}.{part.table}",
                fix="use lower case letters, digits and single underscores",
            )
    return pipeline


def configure() -> None:
    """Set dlt's ways: our errors replace dlt's log, our ledger its telemetry, and the pipeline's retries those of its jobs."""
    logging.getLogger("dlt").setLevel(logging.CRITICAL)
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["load.raise_on_max_retries"] = 1
    # A run's state is its parameters: there is nothing to keep in the warehouse or to restore from it.
    dlt.config["restore_from_destination"] = False
    # Files in parallel only compete for the one writer's memory.
    dlt.config["load.workers"] = 1


@contextmanager
def _connected(warehouse: Path, state: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection for the whole load: dlt would open and close the file, which takes longer than a small load, three times."""
    with opened(warehouse) as connection:
        # The folder comes first: with a log to replay, a lower limit makes DuckDB spill at once, and then it cannot be moved.
        connection.execute("SET GLOBAL temp_directory = ?", [str(state / "spill")])
        connection.execute("SET GLOBAL memory_limit = ?", [LOAD_MEMORY])
        connection.execute("SET GLOBAL preserve_insertion_order = false")
        yield connection


def _resource(part: Part) -> DltResource:
    schema = pq.read_schema(part.file).empty_table()

    def files() -> Any:
        yield dlt.mark.with_file_import(str(part.file), "parquet", part.rows, hints=schema)

    return dlt.resource(files, name=part.table, write_disposition="append")


def _root(error: BaseException) -> BaseException:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return error


def _first_line(error: BaseException) -> str:
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
