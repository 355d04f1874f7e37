"""What both report sources do with a finished download: parse, check, and say what it replaces."""

from collections.abc import Callable
from pathlib import Path

from adelt_sources import report_rows
from adelt_sources.catalog import TableSpec
from adelt_sources.report_file import ReportFile
from adelt_sources.report_rows import Constants
from adelt_sources.report_runs import ReportRun
from adelt_sources.run import Fetched, Progress, Run
from adelt_sources.scope import Scope

Locate = Callable[[Path, TableSpec], ReportFile]


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
    scope = Scope({spec.account: tuple(accounts)}, (spec.date, run.start, run.last_day))
    return Fetched(target, scope, note.checked.rows, size, [note.row()])
