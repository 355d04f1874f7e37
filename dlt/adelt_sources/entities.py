"""What both entity sources do: collect objects by account into one file, check their keys, say what they replace."""

import contextlib
import itertools
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import duckdb

from adelt_sources.catalog import TableSpec
from adelt_sources.errors import SourceError
from adelt_sources.records import RecordWriter
from adelt_sources.report_rows import connect
from adelt_sources.run import Evidence, Fetched, Progress, Run
from adelt_sources.scope import Scope

Pages = Iterable[list[dict[str, Any]]]
_PAGE = 1_000  # kept objects read at a time


def collect(run: Run, spec: TableSpec, accounts: Mapping[int, Pages]) -> Fetched:
    """Write the objects of every account as one snapshot.

    The snapshot is that of the window's last day: an entity API only tells today's state.

    Args:
        run: The invocation.
        spec: Table of the entity.
        accounts: Account id to the pages of its objects; pages are fetched as they are written.

    Raises:
        SourceError: Two objects of one account have the same key.
    """
    writer = RecordWriter(spec, run.work_dir / f"{spec.source}.{spec.name}.parquet")
    kept = []
    for account, pages in accounts.items():
        constants = {
            "_account_id": account,
            "_snapshot_date": run.last_day,
            "_run_id": run.id,
            "_loaded_at": run.started_at,
        }
        copy = _copy_of(run, spec, account)
        with copy.open("w", encoding="utf-8") if run.keeper else contextlib.nullcontext() as out:
            for page in pages:
                writer.add(page, constants)
                if out:
                    out.writelines(f"{json.dumps(item)}\n" for item in page)
                run.tell(Progress("fetch", f"reading {spec.name}s of account {account}", rows=writer.rows))
        kept.append(Evidence(copy, {"account": account}))
    file = writer.close()
    scope = Scope({spec.account: tuple(accounts)}, (spec.date, run.last_day, run.last_day))
    run.keep(kept, scope)
    with connect(run.work_dir) as con:
        check_keys(con, spec, file)
    return Fetched(
        file, scope, writer.rows, file.stat().st_size, warnings=unknown_warnings(spec, writer.unknown)
    )


def parse_kept(run: Run, spec: TableSpec, files: Sequence[Evidence]) -> Fetched:
    """Write the objects that were kept, one file for each account, as one snapshot.

    Raises:
        SourceError: Two objects of one account have the same key, or a value does not fit its type.
    """
    return collect(run, spec, {int(file.facts["account"]): _pages(file.path) for file in files})


def _copy_of(run: Run, spec: TableSpec, account: int) -> Path:
    return run.work_dir / f"{spec.source}.{spec.name}.{account}.ndjson"


def _pages(path: Path) -> Pages:
    with path.open(encoding="utf-8") as lines:
        while page := [json.loads(line) for line in itertools.islice(lines, _PAGE)]:
            yield page


def check_keys(con: duckdb.DuckDBPyConnection, spec: TableSpec, file: Path) -> None:
    """Check that the declared key is unique in each account and snapshot.

    Raises:
        SourceError: It is not; the message shows one of the doubles.
    """
    keys = ", ".join([spec.account, spec.date, *spec.key])
    double = con.execute(
        f"SELECT {keys}, count(*) FROM read_parquet('{file}') GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if double is not None:
        raise SourceError(
            f"check failed: unique keys: ({keys}) = ({', '.join(map(str, double[:-1]))}) comes {double[-1]} times",
            where=spec.qualified,
            fix="nothing was loaded; run it again, a listing can shift while it is read",
        )


def unknown_warnings(spec: TableSpec, unknown: Mapping[str, int]) -> list[str]:
    """One warning for each field that the declaration does not know."""
    return [
        f"{spec.qualified}: field `{path}` is not declared; kept in _unknown_fields of {count} rows"
        for path, count in sorted(unknown.items())
    ]
