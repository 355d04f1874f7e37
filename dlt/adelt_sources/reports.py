"""What both report sources do with finished downloads: keep, parse, check, and say what they replace."""

from collections.abc import Callable, Sequence
from pathlib import Path

from adelt_sources import report_rows
from adelt_sources.catalog import TableSpec
from adelt_sources.errors import SourceError
from adelt_sources.report_file import ReportFile
from adelt_sources.report_rows import Constants
from adelt_sources.report_runs import ReportRun
from adelt_sources.run import Evidence, Fetched, Progress, Run, downloaded
from adelt_sources.scope import Scope

Locate = Callable[[Path, TableSpec], ReportFile]


def finish(run: Run, spec: TableSpec, notes: Sequence[ReportRun], locate: Locate) -> Fetched:
    """Keep the downloads as evidence, then parse them.

    Args:
        run: The invocation.
        spec: Table the reports are for.
        notes: The reports, each with its download; their accounts differ.
        locate: Finds the rows in a file.

    Raises:
        SourceError: A file is cut short, does not fit the declaration, or fails a check.
    """
    files = [Evidence(note.download.path, note.facts) for note in notes if note.download]
    run.keep(files, _scope(run, spec, [account for note in notes for account in note.account_ids]))
    return _together(run, spec, notes, locate)


def parse_kept(run: Run, spec: TableSpec, files: Sequence[Evidence], locate: Locate) -> Fetched:
    """Parse downloads that were kept; the same checks, no API.

    Raises:
        SourceError: A file is cut short, does not fit the declaration, or fails a check.
    """
    notes = []
    for file in files:
        note = ReportRun.of(run, spec, file)
        note.download = downloaded(file.path)
        notes.append(note)
    return _together(run, spec, notes, locate)


def refuse(error: SourceError, note: ReportRun, notes: Sequence[ReportRun]) -> None:
    """Have the error say what to write down: one report failed, so none of them is loaded."""
    for other in notes:
        other.message = error.what if other is note else "not loaded: another report of this run failed"
    error.report_runs = [other.row() for other in notes]


def _together(run: Run, spec: TableSpec, notes: Sequence[ReportRun], locate: Locate) -> Fetched:
    """One file for all reports, so that one transaction swaps them."""
    fetched = []
    for note in notes:
        assert note.download is not None
        try:
            fetched.append(parse(run, spec, note.download.path, locate, note, note.account_ids))
        except SourceError as error:
            refuse(error, note, notes)
            raise
    if len(fetched) == 1:
        return fetched[0]
    target = run.work_dir / f"{spec.source}.{spec.name}.parquet"
    report_rows.combine([one.file for one in fetched], target, run.work_dir)
    return Fetched(
        file=target,
        scope=_scope(run, spec, [account for note in notes for account in note.account_ids]),
        rows=sum(one.rows for one in fetched),
        bytes=sum(one.bytes for one in fetched),
        report_runs=[row for one in fetched for row in one.report_runs],
    )


def parse(
    run: Run, spec: TableSpec, path: Path, locate: Locate, note: ReportRun, accounts: list[int]
) -> Fetched:
    """Turn a report file into a checked Parquet file.

    Args:
        run: The invocation.
        spec: Table the report is for.
        path: The file; it is left as it is.
        locate: Finds the rows in the file (`report_file.bid_manager` or `campaign_manager`).
        note: Collects what `_report_runs` will say.
        accounts: Accounts that were asked for; an empty report replaces their rows too.

    Raises:
        SourceError: The file is cut short, does not fit the declaration, or fails a check.
    """
    size = path.stat().st_size
    run.tell(Progress("parse", "parsing the report", bytes=size))
    note.file = locate(path, spec)
    target = run.work_dir / f"{path.stem}.parquet"
    constants = Constants(run.id, run.started_at, accounts[0] if len(accounts) == 1 else None)
    with report_rows.connect(run.work_dir) as con:
        report_rows.to_parquet(con, spec, note.file, constants, target)
        run.tell(Progress("check", "checking totals, keys and dates"))
        note.checked = report_rows.check(
            con, spec, note.file, target, start=run.start, end=run.end, accounts=accounts
        )
    return Fetched(target, _scope(run, spec, accounts), note.checked.rows, size, [note.row()])


def _scope(run: Run, spec: TableSpec, accounts: Sequence[int]) -> Scope:
    return Scope({spec.account: tuple(accounts)}, (spec.date, run.start, run.last_day))
