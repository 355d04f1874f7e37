"""Turn the rows of a report file into a typed Parquet file, and check it before anything is swapped.

DuckDB parses with fixed types and bounded memory. Counts may come as decimals (`1.00`): they are read as decimals and
must be integral. `Unknown`, `-` and `(not set)` are null in ids and numbers and stay text in names.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from adelt_sources.catalog import Column, Scalar, TableSpec
from adelt_sources.errors import SourceError
from adelt_sources.report_file import ReportFile, only_rows
from adelt_sources.types import arrow_schema, duckdb_type

PARSE_MEMORY = "200MB"
# Small row groups and buffers: half the memory and, on two cores, faster than DuckDB's defaults (docs/benchmarks.md).
ROW_GROUP = 40_960
CSV_BUFFER = 8_000_000

_NULLS = ("Unknown", "-", "---", "(not set)", "")


@dataclass(frozen=True)
class Constants:
    """Values that are the same in every row of a run: adelt's own columns."""

    run_id: str
    loaded_at: datetime
    account_id: int | None = None

    def sql(self, column: Column) -> str:
        """The constant of a meta column as SQL."""
        return {
            "_run_id": f"'{self.run_id}'",
            "_loaded_at": f"TIMESTAMPTZ '{self.loaded_at.isoformat()}'",
            "_account_id": f"{self.account_id}::BIGINT",
        }[column.name]


def connect(temp: Path, memory: str = PARSE_MEMORY) -> duckdb.DuckDBPyConnection:
    """An in-memory DuckDB with bounded memory that spills to `temp`."""
    con = duckdb.connect(config={"memory_limit": memory, "temp_directory": str(temp / "spill")})
    con.execute("SET TimeZone = 'UTC'")
    con.execute("SET preserve_insertion_order = false")
    con.execute("SET enable_progress_bar = false")
    # Otherwise a column is written as required when this file happens to have no null in it.
    con.execute("SET disabled_optimizers = 'statistics_propagation'")
    return con


def to_parquet(
    con: duckdb.DuckDBPyConnection, spec: TableSpec, report: ReportFile, constants: Constants, target: Path
) -> Path:
    """Write the rows of a report as a typed Parquet file, all columns nullable.

    Raises:
        SourceError: A row does not fit the declaration; the message names the line.
    """
    if report.empty:
        pq.write_table(arrow_schema(spec.columns).empty_table(), target)
        return target
    parsed = [*spec.role("dimension"), *spec.role("metric")]
    types = ", ".join(f"'{c.name}': '{_parse_type(c)}'" for c in parsed)
    select = ", ".join(f'{_typed(c)} AS "{c.name}"' for c in parsed)
    metas = "".join(f', {constants.sql(c)} AS "{c.name}"' for c in spec.role("meta"))
    sql = f"""
        COPY (
            SELECT {select}{metas}
            FROM read_csv('{report.path}', header = false, skip = {report.skip_lines}, auto_detect = false,
                          delim = ',', quote = '"', escape = '"', dateformat = '{spec.facts["report"]["date_format"]}',
                          buffer_size = {CSV_BUFFER},
                          columns = {{{types}}})
        ) TO '{target}' (FORMAT parquet, ROW_GROUP_SIZE {ROW_GROUP})
    """
    try:
        with only_rows(report):
            con.execute(sql)
    except duckdb.Error as error:
        raise SourceError(
            f"a row of the report does not fit the declaration: {_reason(error)}",
            where=f"{spec.qualified}, {report.path}",
            fix="nothing was loaded and the file is kept; run it again, or mend the declaration in "
            f"tables/{spec.source}.yml",
        ) from error
    return target


@dataclass(frozen=True)
class Checked:
    """What the checks saw."""

    rows: int
    totals: dict[str, Decimal]


def check(
    con: duckdb.DuckDBPyConnection,
    spec: TableSpec,
    report: ReportFile,
    file: Path,
    *,
    start: date,
    end: date,
    accounts: Sequence[int],
) -> Checked:
    """Check a parsed report: totals, unique keys, dates in `start` <= date < `end`, accounts asked for.

    Raises:
        SourceError: A check failed; the message says which. Nothing has been loaded.
    """
    metrics = spec.role("metric")
    sums = ", ".join(f'coalesce(sum("{c.name}"), 0)' for c in metrics)
    keys = ", ".join(f'"{key}"' for key in (spec.account, *spec.key))
    day = spec.date
    known = ", ".join(map(str, accounts))
    row = con.execute(
        f"""
        SELECT count(*), count(DISTINCT hash({keys})), min("{day}"), max("{day}"),
               count(*) FILTER (WHERE "{day}" IS NULL), count(*) FILTER (WHERE "{spec.account}" NOT IN ({known})
               OR "{spec.account}" IS NULL), {sums}
        FROM read_parquet('{file}')
        """
    ).fetchone()
    assert row is not None
    rows, distinct, first, last, undated, strangers = row[:6]
    totals = {c.name: Decimal(value) for c, value in zip(metrics, row[6:], strict=True)}
    where = f"{spec.qualified}, {report.path}"
    if undated or (rows and (first < start or last >= end)):
        span = f"{first} .. {last}" if not undated else f"{undated} rows without a date"
        raise _failed(
            f"dates inside the window: the report has {span}, asked for {start} .. before {end}", where
        )
    if strangers:
        raise _failed(f"accounts: {strangers} rows belong to none of {known}", where)
    if distinct != rows:
        _fail_on_duplicates(con, keys, file, where)
    if report.totals is not None:
        _compare_totals(metrics, report.totals, len(spec.role("dimension")), totals, where)
    return Checked(rows, totals)


def _compare_totals(
    metrics: Sequence[Column], cells: Sequence[str], dimensions: int, sums: Mapping[str, Decimal], where: str
) -> None:
    for column, cell in zip(metrics, cells[dimensions:], strict=True):
        told = Decimal(cell) if re.fullmatch(r"-?\d+(\.\d+)?", cell) else None
        if told is None:
            raise _failed(f"totals row: `{column.name}` is `{cell}`, not a number", where)
        digits = len(cell.partition(".")[2])
        # The totals row may be written with fewer decimals than the rows have.
        if abs(sums[column.name] - told) > Decimal(1).scaleb(-digits) / 2:
            raise _failed(
                f"totals row: `{column.name}` adds up to {sums[column.name]}, the report says {told}", where
            )


def _fail_on_duplicates(con: duckdb.DuckDBPyConnection, keys: str, file: Path, where: str) -> None:
    example = con.execute(
        f"SELECT {keys}, count(*) FROM read_parquet('{file}') GROUP BY ALL HAVING count(*) > 1 LIMIT 1"
    ).fetchone()
    if example is not None:
        raise _failed(f"unique keys: ({keys}) = {example[:-1]} comes {example[-1]} times", where)


def _failed(which: str, where: str) -> SourceError:
    return SourceError(
        f"check failed: {which}",
        where=where,
        fix="nothing was loaded, the previous rows are still there and the file is kept; run it again",
    )


def _parse_type(column: Column) -> str:
    """Dates and numbers as such; ids as text, because a null marker must not touch names (`nullstr` is for all)."""
    if column.role == "metric":
        return "DECIMAL(18,6)"
    return "VARCHAR" if column.type == Scalar("bigint") else duckdb_type(column.type)


def _typed(column: Column) -> str:
    name = f'"{column.name}"'
    if column.type != Scalar("bigint"):
        return name
    if column.role == "metric":
        message = f"'`{column.name}` is ' || {name} || ', not a whole number'"
        return f"CASE WHEN {name} = trunc({name}) OR {name} IS NULL THEN {name}::BIGINT ELSE error({message}) END"
    nulls = ", ".join(f"'{text}'" for text in _NULLS)
    message = f"'`{column.name}` is `' || {name} || '`, not an id'"
    return (
        f"CASE WHEN {name} NOT IN ({nulls}) THEN coalesce(TRY_CAST({name} AS BIGINT), error({message})) END"
    )


def _reason(error: duckdb.Error) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    line = next((m[1] for text in lines if (m := re.search(r"(?:Line|line):? (\d+)", text))), "")
    kept = [text for text in lines[:4] if not text.startswith(("Possible", "file =", "CSV Error"))]
    reason = "; ".join(kept or lines[:1]).removeprefix("Invalid Input Error: ")
    return f"line {line}: {reason}" if line else reason


def combine(files: Sequence[Path], target: Path, temp: Path, row_group: int = ROW_GROUP) -> Path:
    """Write the rows of several Parquet files of one table as one, in groups of `row_group` rows."""
    names = ", ".join(f"'{file}'" for file in files)
    with connect(temp) as con:
        con.execute(
            f"COPY (SELECT * FROM read_parquet([{names}])) TO '{target}' (FORMAT parquet, ROW_GROUP_SIZE {row_group})"
        )
    return target
