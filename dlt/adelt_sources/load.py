"""Hand Parquet files to dlt and commit them: the only module that writes to a warehouse."""

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import dlt
import pyarrow.parquet as pq
from dlt.destinations.impl.duckdb.configuration import DuckDbCredentials
from dlt.extract import DltResource
from dlt.pipeline.exceptions import PipelineStepFailed

from adelt_sources.destination import NestedDuckDb
from adelt_sources.errors import SourceError
from adelt_sources.lock import warehouse_lock
from adelt_sources.scope import Scope, Swap
from adelt_sources.warehouse import DuckDb, Warehouse

# Bounds the loading connection, so that a task's memory does not grow with the file.
LOAD_MEMORY = "180MB"


@dataclass(frozen=True)
class Part:
    """One file for one table.

    Attributes:
        table: Table name in the warehouse.
        file: Parquet file with the table's columns (all nullable).
        scope: Rows that the file replaces; None appends.
    """

    table: str
    file: Path
    scope: Scope | None

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
    on_wait: Callable[[str], None] | None = None,
) -> None:
    """Replace the scope of each part by the rows of its file.

    Extracting and normalising need no warehouse; only the load takes the lock. dlt's working folder is new for each
    run: a leftover package of a killed run must never be loaded in place of this run's data.

    Args:
        name: Name of the dlt pipeline and schema, one for each source and table.
        dataset: Raw dataset.
        parts: Files to load; each is one transaction.
        warehouse: What to load; created if missing.
        work_dir: Folder of this run, on the same file system as the files (dlt links them).
        on_wait: Called with the holder's name when another process is writing.

    Raises:
        SourceError: The load failed; each table is as it was, or complete.
    """
    _configure()
    assert isinstance(warehouse, DuckDb)
    file = warehouse.file.absolute()
    state = work_dir / "dlt"
    shutil.rmtree(state, ignore_errors=True)
    swaps = {part.table: Swap(part.scope, part.rows) for part in parts}
    destination = NestedDuckDb(
        swaps,
        credentials=_credentials(file, state),
        destination_name="duckdb",
    )
    pipeline = dlt.pipeline(
        name,
        destination=destination,
        dataset_name=dataset,
        pipelines_dir=str(state),
    )
    source = dlt.source(lambda: [_resource(part) for part in parts], name=name)
    try:
        pipeline.extract(source(), loader_file_format="parquet")
        pipeline.normalize()
        with warehouse_lock(file, holder=name, on_wait=on_wait):
            pipeline.load()
    except PipelineStepFailed as failed:
        raise SourceError(
            f"the load did not commit: {_root(failed)}",
            where=", ".join(f"{dataset}.{part.table}" for part in parts),
            fix="the previous rows are still there; run it again",
        ) from failed
    finally:
        shutil.rmtree(state, ignore_errors=True)


def _configure() -> None:
    """Our errors replace dlt's log, our ledger its telemetry, and the pipeline's retries those of its jobs."""
    dlt.config["runtime.log_level"] = "CRITICAL"
    dlt.config["runtime.dlthub_telemetry"] = False
    dlt.config["load.raise_on_max_retries"] = 1
    # A run's state is its parameters: there is nothing to keep in the warehouse or to restore from it.
    dlt.config["restore_from_destination"] = False
    # Files in parallel only compete for the one writer's memory.
    dlt.config["load.workers"] = 1


def _credentials(warehouse: Path, state: Path) -> DuckDbCredentials:
    credentials = DuckDbCredentials(str(warehouse))
    # The folder comes first: with a log to replay, a lower limit makes DuckDB spill at once, and then it cannot be moved.
    credentials.global_config = {
        "temp_directory": str(state / "spill"),
        "memory_limit": LOAD_MEMORY,
        "preserve_insertion_order": False,
    }
    return credentials


def _resource(part: Part) -> DltResource:
    schema = pq.read_schema(part.file).empty_table()

    def files() -> Any:
        yield dlt.mark.with_file_import(str(part.file), "parquet", part.rows, hints=schema)

    return dlt.resource(files, name=part.table, write_disposition="append")


def _root(error: BaseException) -> str:
    while error.__cause__ or error.__context__:
        error = error.__cause__ or error.__context__  # type: ignore[assignment]
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
