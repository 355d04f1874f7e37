"""One invocation: bring one table of one source, for one window, into the warehouse."""

import contextlib
import importlib
import shutil
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from adelt_sources.catalog import TableSpec, table_spec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.light import UNUSED, without
from adelt_sources.run import Fetched, Patience, Progress, Run
from adelt_sources.warehouse import BigQuery, Warehouse

if TYPE_CHECKING:  # most runs keep nothing, and need not pay for how it is done
    from adelt_sources.landing import Keeper, Landing, Status


@dataclass(frozen=True)
class Ingest:
    """What to bring.

    Attributes:
        source: Source, for example `dv360_reports`.
        table: Table of the source, for example `standard`.
        start: First day of the window.
        end: Day after the last day of the window.
        run_id: Id of the run; ends up in `_run_id` of every row.
        warehouse: What to load; created if missing.
        work_dir: Folder under which the run makes its own; also keeps files that were refused.
        params: Parameters of the source, as text.
        google_endpoint: Base URL of another server that speaks the Google APIs (the sandbox); None is Google.
        patience: How long to wait and how often to try.
        landing: Where the files are kept as they came; None keeps none.
        secret: Gives the value of a secret by its name; empty if there is none.
    """

    source: str
    table: str
    start: date
    end: date
    run_id: str
    warehouse: Warehouse
    work_dir: Path
    params: Mapping[str, str] = field(default_factory=dict)
    google_endpoint: str | None = None
    patience: Patience = field(default_factory=Patience)
    landing: "Landing | None" = None
    secret: Callable[[str], str] = lambda _: ""


@dataclass(frozen=True)
class IngestResult:
    """What came.

    Attributes:
        dataset: Raw dataset.
        table: Table in it.
        rows: Rows that the scope now holds.
        bytes: Bytes downloaded or read.
        warnings: What the user should know although it worked.
        report_runs: Rows that were added to `_report_runs`.
        seconds: Seconds spent by phase (`fetch`, `load`).
        cost: Bytes billed, slot milliseconds and job ids, where the warehouse bills; else empty.
        requests: API to how many requests were sent to it, for example `doubleclickbidmanager`.
    """

    dataset: str
    table: str
    rows: int
    bytes: int
    warnings: list[str]
    report_runs: list[dict[str, Any]]
    seconds: dict[str, float]
    cost: Mapping[str, Any] = field(default_factory=dict)
    requests: Mapping[str, int] = field(default_factory=dict)


def ingest(job: Ingest, on_progress: Callable[[Progress], None] = lambda _: None) -> IngestResult:
    """Fetch, check and load one table; the rows of its scope are exactly the source's, or untouched.

    Raises:
        InputError: The job cannot work as it is (exit code 2).
        SourceError: It did not work this time (exit code 1).
    """
    spec = table_spec(job.source, job.table)
    _check_window(job)
    with without(*UNUSED):
        return _ingest(job, spec, on_progress)


def _ingest(job: Ingest, spec: TableSpec, on_progress: Callable[[Progress], None]) -> IngestResult:
    from adelt_sources.google import Google

    source = importlib.import_module(f"adelt_sources.{job.source}")
    _check_parameters(job, source)
    folder = (job.work_dir / job.run_id / f"{job.source}.{job.table}").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    keeper = _keeper(job, spec)
    run = Run(
        id=job.run_id,
        start=job.start,
        end=job.end,
        params=job.params,
        work_dir=folder,
        patience=job.patience,
        google_endpoint=job.google_endpoint,
        tell=on_progress,
        keeper=keeper.keep if keeper else None,
        impersonate=job.warehouse.impersonate if isinstance(job.warehouse, BigQuery) else "",
        secret=job.secret,
    )
    google = Google(run)
    begun = time.monotonic()
    fetched: Fetched | None = None
    # dlt takes as long to import as a small report takes to come: both at once.
    importing = threading.Thread(target=importlib.import_module, args=("adelt_sources.load",), daemon=True)
    importing.start()
    try:
        try:
            fetched = source.fetch(run, spec, google)
        finally:
            importing.join()
        assert fetched is not None
        fetched_at = time.monotonic()
        cost = _load(job, spec, run, fetched)
    except SourceError as error:
        if error.report_runs:
            _note_failure(job, spec, run, error.report_runs)
        if fetched is None:  # otherwise the files are good, and only the load has to be done again
            _settle(keeper, run, "refused", message=error.what)
        raise
    _settle(keeper, run, "loaded", rows=fetched.rows)
    shutil.rmtree(folder)
    _remove_if_empty(folder.parent)
    on_progress(
        Progress("done", f"{spec.qualified}: {fetched.rows} rows", rows=fetched.rows, bytes=fetched.bytes)
    )
    return IngestResult(
        dataset=spec.dataset,
        table=spec.table,
        rows=fetched.rows,
        bytes=fetched.bytes,
        warnings=fetched.warnings,
        report_runs=fetched.report_runs,
        seconds={"fetch": fetched_at - begun, "load": time.monotonic() - fetched_at},
        cost=cost,
        requests=dict(google.requests),
    )


def _load(job: Ingest, spec: TableSpec, run: Run, fetched: Fetched) -> Mapping[str, Any]:
    from adelt_sources import load, report_runs

    run.tell(Progress("load", f"loading {fetched.rows} rows", rows=fetched.rows))
    parts = [load.Part(spec.table, fetched.file, fetched.scope, spec)]
    if fetched.report_runs:
        file = report_runs.write(fetched.report_runs, run.work_dir / "report_runs.parquet")
        parts.append(load.Part(report_runs.TABLE, file, None, report_runs.table_spec(spec)))
    return load.load(
        f"{spec.source}__{spec.name}",
        spec.dataset,
        parts,
        warehouse=job.warehouse,
        work_dir=run.work_dir,
        labels={"source": spec.source, "run": job.run_id},
        on_wait=lambda holder: run.tell(Progress("wait", f"the warehouse is being written by {holder}")),
    )


def _note_failure(job: Ingest, spec: TableSpec, run: Run, rows: list[dict[str, Any]]) -> None:
    """Record reports that failed; if that fails too, the first error is still the one to tell."""
    from adelt_sources import load, report_runs

    file = report_runs.write(rows, run.work_dir / "report_runs.parquet")
    try:
        load.load(
            f"{spec.source}__{spec.name}",
            spec.dataset,
            [load.Part(report_runs.TABLE, file, None, report_runs.table_spec(spec))],
            warehouse=job.warehouse,
            work_dir=run.work_dir,
        )
    except SourceError as error:
        run.tell(Progress("load", f"the failed report could not be noted: {error.what}"))
    file.unlink()


def _keeper(job: Ingest, spec: TableSpec) -> "Keeper | None":
    if job.landing is None:
        return None
    from adelt_sources.landing import Keeper

    return Keeper(job.landing, spec)


def _settle(
    keeper: "Keeper | None", run: Run, status: "Status", *, rows: int | None = None, message: str = ""
) -> None:
    """Write down what became of the evidence; it is there even if that fails."""
    if keeper is None:
        return
    try:
        keeper.settle(status, rows=rows, message=message)
    except SourceError as error:
        run.tell(Progress("keep", f"the evidence could not be marked as {status}: {error.what}"))


def _check_window(job: Ingest) -> None:
    if job.start >= job.end:
        raise InputError(
            f"the window ends ({job.end}) before it begins ({job.start})",
            where=f"{job.source}.{job.table}",
            fix="give a start that is before the end",
        )


def _check_parameters(job: Ingest, source: ModuleType) -> None:
    known: tuple[str, ...] = source.PARAMETERS
    for name in job.params:
        if name not in known:
            raise InputError(
                f"`{job.source}` has no parameter `{name}`",
                where=f"{job.source}.{job.table}",
                fix=f"parameters: {', '.join(known)}",
            )


def _remove_if_empty(folder: Path) -> None:
    with contextlib.suppress(OSError):  # other tables of the same run may still be at work in it
        folder.rmdir()
