"""Entity Read Files: the feed Google ended on 2024-10-31, from archives or from buckets that still hold files."""

from collections import Counter
from collections.abc import Sequence
from datetime import date
from pathlib import Path

import pyarrow.parquet as pq

from adelt_sources import entities, erf_rows
from adelt_sources.catalog import TableSpec
from adelt_sources.erf_files import PUBLIC, ErfStore
from adelt_sources.errors import InputError
from adelt_sources.google import Google
from adelt_sources.report_rows import combine, connect
from adelt_sources.run import Evidence, Fetched, Progress, Run
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
    files = []
    for file in store.files(spec, accounts):
        path, _ = store.fetch(file, run.work_dir)
        facts = {"account": file.account, "day": file.day.isoformat(), "batch": file.batch}
        files.append(Evidence(path, facts))
    run.keep(files, _scope(run, spec, accounts))
    return parse(run, spec, files)


def parse(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Parse files that are here; those of one day and account are together a snapshot.

    Raises:
        SourceError: A file is broken, or two objects have the same key.
    """
    batches: dict[tuple[date, int], list[Path]] = {}
    for file in sorted(files, key=lambda one: int(one.facts["batch"])):
        key = date.fromisoformat(file.facts["day"]), int(file.facts["account"])
        batches.setdefault(key, []).append(file.path)
    parts, unknown, size = [], Counter[str](), 0
    with connect(run.work_dir) as con:
        for (day, account), paths in sorted(batches.items()):
            size += sum(path.stat().st_size for path in paths)
            run.tell(Progress("parse", f"parsing {spec.facts['entity']} of {day}", bytes=size))
            target = run.work_dir / f"{spec.name}.{account}.{day:%Y%m%d}.parquet"
            unknown += erf_rows.to_parquet(con, run, spec, paths, target, account=account, day=day)
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
        scope=_scope(run, spec, sorted({account for _, account in batches})),
        rows=int(pq.read_metadata(result).num_rows),
        bytes=size,
        warnings=entities.unknown_warnings(spec, unknown),
    )


def _scope(run: Run, spec: TableSpec, accounts: Sequence[int]) -> Scope:
    return Scope({spec.account: tuple(accounts)}, (spec.date, run.start, run.last_day))
