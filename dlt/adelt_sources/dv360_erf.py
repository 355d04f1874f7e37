"""Entity Read Files: the feed Google ended on 2024-10-31, from archives or from buckets that still hold files."""

from collections import Counter

import pyarrow.parquet as pq

from adelt_sources import entities, erf_rows
from adelt_sources.catalog import TableSpec
from adelt_sources.erf_files import PUBLIC, ErfStore
from adelt_sources.errors import InputError
from adelt_sources.google import Google
from adelt_sources.report_rows import combine, connect
from adelt_sources.run import Fetched, Progress, Run
from adelt_sources.scope import Scope

PARAMETERS = ("partner_ids", "archive", "wait_for_summary")


def fetch(run: Run, spec: TableSpec, google: Google) -> Fetched:  # noqa: ARG001 - every source has this signature
    """Read the files of every day of the window; each day is a snapshot.

    Parameters of the run: `partner_ids` (needed for private entities unless an archive names its partners in folders),
    `archive` (an fsspec URL or a folder; default Google's buckets), `wait_for_summary` (`true` waits for the day's
    readiness marker).

    Raises:
        SourceError: A file is missing or broken; nothing is loaded then.
    """
    store = ErfStore(run)
    accounts = [PUBLIC] if spec.facts["scope"] == "public" else run.ids("partner_ids") or store.accounts()
    if not accounts:
        raise InputError(
            f"`{spec.name}` is a private entity: whose files?",
            where=spec.qualified,
            fix="name partners with -p partner_ids=1001,1002",
        )
    files = store.files(spec, accounts)
    parts, unknown, size = [], Counter[str](), 0
    with connect(run.work_dir) as con:
        for day in run.days:
            for account in accounts:
                batches = []
                for file in (f for f in files if (f.day, f.account) == (day, account)):
                    path, length = store.fetch(file, run.work_dir)
                    batches.append(path)
                    size += length
                run.tell(Progress("parse", f"parsing {spec.facts['entity']} of {day}", bytes=size))
                target = run.work_dir / f"{spec.name}.{account}.{day:%Y%m%d}.parquet"
                unknown += erf_rows.to_parquet(con, run, spec, batches, target, account=account, day=day)
                entities.check_keys(con, spec, target)
                parts.append(target)
    result = parts[0]
    if len(parts) > 1:
        result = combine(
            parts,
            run.work_dir / f"{spec.source}.{spec.name}.parquet",
            run.work_dir,
            erf_rows.NESTED_ROW_GROUP,
        )
    return Fetched(
        file=result,
        scope=Scope({spec.account: tuple(accounts)}, (spec.date, run.start, run.last_day)),
        rows=int(pq.read_metadata(result).num_rows),
        bytes=size,
        warnings=entities.unknown_warnings(spec, unknown),
    )
