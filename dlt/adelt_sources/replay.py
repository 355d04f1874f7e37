"""Load evidence again: the files that a source gave, parsed and checked as on the day they came, without its API.

The newest evidence of a day and account is what the warehouse should hold, so evidence that newer one covers is left out;
and only the days that are asked for are replaced, so that days beside them do not fall back to an older state.
"""

import contextlib
import importlib
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from pathlib import Path

import pyarrow.parquet as pq

from adelt_sources import landing, report_runs
from adelt_sources.catalog import TableSpec, table_spec
from adelt_sources.erf_rows import NESTED_ROW_GROUP
from adelt_sources.errors import InputError
from adelt_sources.landing import Kept, Landing
from adelt_sources.light import UNUSED, without
from adelt_sources.load import Part, load
from adelt_sources.report_rows import ROW_GROUP, connect
from adelt_sources.run import Fetched, Patience, Progress, Run
from adelt_sources.scope import Scope
from adelt_sources.warehouse import Warehouse


@dataclass(frozen=True)
class Replay:
    """What to load again.

    Attributes:
        source: Source.
        table: Table of the source.
        start: First day.
        end: Day after the last day.
        id: Name of the work folder; rows keep the id of the run that brought their file.
        landing: Where the evidence is.
        warehouse: What to load.
        work_dir: Folder under which the replay makes its own.
        run_id: Only the evidence of this run, also if it was refused; empty is that of every run that was not.
    """

    source: str
    table: str
    start: date
    end: date
    id: str
    landing: Landing
    warehouse: Warehouse
    work_dir: Path
    run_id: str = ""

    @property
    def last_day(self) -> date:
        """Last day."""
        return self.end - timedelta(days=1)


@dataclass(frozen=True)
class Step:
    """What is done with the evidence of one run.

    Attributes:
        kept: The evidence.
        first: First day that it replaces; None if it is left out.
        last: Last day.
        accounts: Accounts whose rows it replaces.
        why: Why it is left out.
        rows: Rows that were loaded; None before.
    """

    kept: Kept
    first: date | None = None
    last: date | None = None
    accounts: tuple[int, ...] = ()
    why: str = ""
    rows: int | None = None

    @property
    def is_left_out(self) -> bool:
        """Whether nothing of it is loaded."""
        return self.first is None


def plan(job: Replay) -> list[Step]:
    """What a replay would do, oldest evidence first; nothing is changed.

    Raises:
        InputError: There is no evidence of these days.
        SourceError: The landing place cannot be read.
    """
    spec = table_spec(job.source, job.table)
    here = job.landing.place()
    found = landing.find(here, spec, job.start, job.last_day, job.run_id)
    steps = choose(found, job.start, job.last_day, also_refused=bool(job.run_id))
    if not any(not step.is_left_out for step in steps):
        whose = f" of run {job.run_id}" if job.run_id else ""
        raise InputError(
            f"there is no evidence{whose} that could be loaded again"
            + (f"; {len(steps)} refused" if steps else ""),
            where=f"{here.url}/{spec.source}/{spec.name}, {job.start} .. {job.last_day}",
            fix="name a refused run with --run, or ask the source with adelt ingest",
        )
    return steps


def choose(found: Sequence[Kept], first: date, last: date, *, also_refused: bool = False) -> list[Step]:
    """Which evidence counts for the days `first` to `last`, in the order given (oldest first).

    Args:
        found: Evidence, oldest first.
        first: First day.
        last: Last day.
        also_refused: Take evidence that was refused, too.
    """
    covered: set[tuple[int, date]] = set()
    steps: list[Step] = []
    for kept in reversed(found):
        if kept.status == "refused" and not also_refused:
            steps.append(Step(kept, why=f"refused: {kept.message}"))
            continue
        begin, end = max(first, kept.first), min(last, kept.last)
        days = [begin + timedelta(days=n) for n in range((end - begin).days + 1)]
        new = {(account, day) for account in kept.accounts for day in days} - covered
        if not new:
            steps.append(Step(kept, why="newer evidence covers it"))
            continue
        covered |= new
        # The box around what is new; newer evidence is loaded later and wins where the boxes overlap.
        steps.append(
            Step(
                kept,
                min(day for _, day in new),
                max(day for _, day in new),
                tuple(sorted({account for account, _ in new})),
            )
        )
    return steps[::-1]


def replay(job: Replay, on_progress: Callable[[Progress], None] = lambda _: None) -> list[Step]:
    """Parse and check all evidence that counts, then load it, oldest first.

    Nothing is loaded before everything is parsed, so evidence that is broken changes nothing.

    Raises:
        InputError: There is no evidence, or it does not fit the declaration.
        SourceError: Evidence is not what was kept, fails a check, or a load failed; loads before it are complete.
    """
    spec = table_spec(job.source, job.table)
    steps = plan(job)
    folder = (job.work_dir / job.id / f"{job.source}.{job.table}.replay").absolute()
    shutil.rmtree(folder, ignore_errors=True)
    with without(*UNUSED):
        ready = [
            None if step.is_left_out else _parsed(job, spec, step, folder / str(number), on_progress)
            for number, step in enumerate(steps)
        ]
        done = [
            step if fetched is None else _loaded(job, spec, step, fetched, folder / str(number), on_progress)
            for number, (step, fetched) in enumerate(zip(steps, ready, strict=True))
        ]
    shutil.rmtree(folder)
    with contextlib.suppress(OSError):
        folder.parent.rmdir()
    return done


def _parsed(
    job: Replay, spec: TableSpec, step: Step, folder: Path, on_progress: Callable[[Progress], None]
) -> Fetched:
    folder.mkdir(parents=True)
    kept = step.kept
    run = Run(
        id=kept.run_id,
        start=kept.start,
        end=kept.end,
        params=kept.params,
        work_dir=folder,
        patience=Patience(),
        google_endpoint=None,
        tell=on_progress,
    )
    run.tell(Progress("fetch", f"reading the evidence of run {kept.run_id}", bytes=kept.bytes))
    files = landing.fetch(job.landing.place(), kept, folder)
    source = importlib.import_module(f"adelt_sources.{job.source}")
    return _clipped(spec, step, source.parse(run, spec, files), folder)


def _clipped(spec: TableSpec, step: Step, fetched: Fetched, folder: Path) -> Fetched:
    """Only the rows of the days and accounts that the step replaces."""
    assert step.first is not None
    assert step.last is not None
    scope = Scope({spec.account: step.accounts}, (spec.date, step.first, step.last))
    if scope == fetched.scope:
        return fetched
    file = folder / "clipped.parquet"
    group = ROW_GROUP if spec.role("metric") else NESTED_ROW_GROUP
    with connect(folder) as con:
        con.execute(
            f"COPY (SELECT * FROM read_parquet('{fetched.file}') WHERE {scope.bounds()}) "
            f"TO '{file}' (FORMAT parquet, ROW_GROUP_SIZE {group})"
        )
    return replace(fetched, file=file, scope=scope, rows=int(pq.read_metadata(file).num_rows))


def _loaded(
    job: Replay,
    spec: TableSpec,
    step: Step,
    fetched: Fetched,
    folder: Path,
    on_progress: Callable[[Progress], None],
) -> Step:
    kept = step.kept
    parts = [Part(spec.table, fetched.file, fetched.scope, spec)]
    # A report that was loaded is written down already; one that was refused, or whose run was killed, is not.
    if fetched.report_runs and kept.status != "loaded":
        noted = report_runs.write(fetched.report_runs, folder / "report_runs.parquet")
        parts.append(Part(report_runs.TABLE, noted, None, report_runs.table_spec(spec)))
    on_progress(Progress("load", f"loading {fetched.rows} rows of run {kept.run_id}", rows=fetched.rows))
    load(
        f"{spec.source}__{spec.name}",
        spec.dataset,
        parts,
        warehouse=job.warehouse,
        work_dir=folder,
        labels={"source": spec.source, "run": kept.run_id},
        on_wait=lambda holder: on_progress(Progress("wait", f"the warehouse is being written by {holder}")),
    )
    if kept.status != "loaded":
        landing.settle(job.landing.place(), kept, "loaded", rows=fetched.rows)
    return replace(step, rows=fetched.rows)
