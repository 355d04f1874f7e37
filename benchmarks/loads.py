"""The programs that are measured; each runs as a process of its own and prints what it took.

`python -m benchmarks.loads NAME FILE DATABASE` prints one JSON object: seconds from the start of the interpreter, peak
memory in MB (VmHWM), rows.
"""

import json
import sys
import time
from datetime import date, timedelta
from pathlib import Path

BEGUN = time.time()
JANUARY = (date(2026, 1, 1), date(2026, 1, 31))
FILE_DAY = date(2024, 10, 30)


def duckdb_csv(file: Path, database: Path) -> int:
    """DuckDB alone: an ordered CREATE TABLE AS of the rows, fixed types, footer cut off beforehand by the caller."""
    import duckdb

    from adelt_sources.catalog import table_spec

    spec = table_spec("dv360_reports", "standard")
    types = {"bigint": "BIGINT", "decimal": "DECIMAL(18,6)", "text": "VARCHAR", "date": "DATE"}
    columns = ", ".join(f"'{c.name}': '{types[c.type.name]}'" for c in spec.columns if c.header)  # type: ignore[union-attr]
    with duckdb.connect(str(database)) as con:
        con.execute(
            f"""CREATE TABLE t AS SELECT * FROM read_csv('{file}', header = false, skip = 1, auto_detect = false,
                delim = ',', quote = '"', escape = '"', dateformat = '%Y/%m/%d', nullstr = 'Unknown',
                columns = {{{columns}}})"""
        )
        return int(con.execute("SELECT count(*) FROM t").fetchall()[0][0])


def adelt_csv(file: Path, database: Path) -> int:
    """Everything adelt does after the download: trim, parse, check, note the run, swap through dlt."""
    import importlib
    import threading

    from adelt_sources.light import without

    with without("pandas", "numpy", "sqlalchemy", "IPython"):
        from adelt_sources import report_file, report_runs, reports
        from adelt_sources.catalog import table_spec
        from adelt_sources.run import Patience, Run

        importing = threading.Thread(target=importlib.import_module, args=("adelt_sources.load",))
        importing.start()
        spec = table_spec("dv360_reports", "standard")
        work = database.with_suffix(".work")
        work.mkdir()
        run = Run("bench", *JANUARY, {}, work, Patience(), None, lambda _: None)
        note = report_runs.ReportRun(run, spec, [1001], "hash")
        fetched = reports.parse(run, spec, file, report_file.bid_manager, note, [1001])
        importing.join()
        from adelt_sources import load
        from adelt_sources.warehouse import DuckDb

        noted = report_runs.write(fetched.report_runs, work / "runs.parquet")
        parts = [
            load.Part(spec.table, fetched.file, fetched.scope),
            load.Part(report_runs.TABLE, noted, None),
        ]
        load.load("bench", spec.dataset, parts, warehouse=DuckDb(database), work_dir=work)
    return fetched.rows


def duckdb_erf(file: Path, database: Path) -> int:
    """DuckDB alone: read_json with the declared nested columns."""
    import duckdb

    from adelt_sources.catalog import table_spec
    from adelt_sources.types import duckdb_type

    fields = table_spec("dv360_erf", "line_item").role("field")
    columns = ", ".join(f"'{c.name}': '{duckdb_type(c.type)}'" for c in fields)
    with duckdb.connect(str(database)) as con:
        con.execute(
            f"CREATE TABLE t AS SELECT * FROM read_json('{file}', format = 'array', columns = {{{columns}}})"
        )
        return int(con.execute("SELECT count(*) FROM t").fetchall()[0][0])


def adelt_erf(file: Path, database: Path) -> int:
    """A whole `adelt ingest dv360_erf line_item` from an archive."""
    from adelt_sources.ingest import Ingest, ingest
    from adelt_sources.warehouse import DuckDb

    archive = database.with_suffix(".archive") / "1001"
    archive.mkdir(parents=True)
    (archive / f"{FILE_DAY:%Y%m%d}.0.LineItem.json").hardlink_to(file)
    job = Ingest(
        source="dv360_erf",
        table="line_item",
        start=FILE_DAY,
        end=FILE_DAY + timedelta(days=1),
        run_id="bench",
        warehouse=DuckDb(database),
        work_dir=database.with_suffix(".work"),
        params={"archive": str(archive.parent)},
    )
    return ingest(job).rows


def dlt_dicts_erf(file: Path, database: Path) -> int:
    """Dlt's own way: dicts, the Parquet loader, nested values as JSON columns."""
    import dlt

    with file.open("rb") as source:
        objects = json.load(source)
    pipeline = dlt.pipeline(
        "dicts",
        destination=dlt.destinations.duckdb(str(database)),
        dataset_name="raw",
        pipelines_dir=str(database.with_suffix(".dlt")),
    )
    resource = dlt.resource(objects, name="line_item")
    pipeline.run(resource, loader_file_format="parquet")
    return len(objects)


PROGRAMS = {
    function.__name__: function for function in (duckdb_csv, adelt_csv, duckdb_erf, adelt_erf, dlt_dicts_erf)
}


def peak_mb() -> int:
    """Peak resident memory of this process in MB."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) // 1024
    return 0


def main() -> None:
    """Run one program and print what it took."""
    name, file, database = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
    rows = PROGRAMS[name](file, database)
    print(json.dumps({"seconds": time.time() - BEGUN, "peak_mb": peak_mb(), "rows": rows}))


if __name__ == "__main__":
    main()
