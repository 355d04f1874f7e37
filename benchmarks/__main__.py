"""Run the measurements and print the tables of docs/benchmarks.md: `python -m benchmarks [--quick]`.

Programs that are compared run in turns (A B A B ...), each as a process of its own; the ratio is that of the medians
inside one run. Absolute seconds of two runs, or of two machines, say little.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pyarrow.parquet as pq

from benchmarks.airflow import airflow_table
from benchmarks.backfills import backfills_table, ledger_line, ten_years_table
from benchmarks.generate import erf_json, report_csv
from benchmarks.workers import workers_table


def measure(programs: Sequence[str], file: Path, folder: Path, rounds: int) -> dict[str, dict[str, float]]:
    """Run programs in turns; medians of seconds and memory by program."""
    seen: dict[str, list[dict[str, float]]] = {program: [] for program in programs}
    for _ in range(rounds):
        for program in programs:
            database = Path(tempfile.mkdtemp(dir=folder)) / "w.duckdb"
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.loads", program, str(file), str(database)],
                check=True,
                capture_output=True,
                text=True,
            )
            seen[program].append(json.loads(done.stdout.splitlines()[-1]))
            shutil.rmtree(database.parent)
    return {
        program: {key: statistics.median(run[key] for run in runs) for key in ("seconds", "peak_mb", "rows")}
        for program, runs in seen.items()
    }


def trimmed(report: Path) -> Path:
    """The report without totals and footer, so that DuckDB alone can read it."""
    from adelt_sources.catalog import table_spec
    from adelt_sources.report_file import bid_manager

    end = bid_manager(report, table_spec("dv360_reports", "standard")).end
    copy = report.with_suffix(".rows.csv")
    shutil.copy(report, copy)
    with copy.open("r+b") as file:
        file.truncate(end)
    return copy


def csv_table(folder: Path, sizes: Sequence[int], rounds: int) -> None:
    """Report CSV on disk to a committed typed table."""
    print(
        "\n| report CSV | DuckDB alone s | adelt s | ratio | bar | adelt peak MB |\n|---|---|---|---|---|---|"
    )
    for rows, bar in zip(sizes, (2.8, 2.0), strict=False):
        report = report_csv(folder / f"report_{rows}.csv", rows)
        rows_only = trimmed(report)
        ours, base = [], []
        for _ in range(rounds):
            base.append(measure(["duckdb_csv"], rows_only, folder, 1)["duckdb_csv"])
            ours.append(measure(["adelt_csv"], report, folder, 1)["adelt_csv"])
        assert {run["rows"] for run in ours + base} == {rows}
        b = statistics.median(run["seconds"] for run in base)
        a = statistics.median(run["seconds"] for run in ours)
        peak = max(run["peak_mb"] for run in ours)
        print(f"| {rows:,} rows | {b:.2f} | {a:.2f} | **{a / b:.2f}** | {bar} | {peak:.0f} |", flush=True)
        rows_only.unlink()
        report.unlink()


def erf_table(folder: Path, sizes: Sequence[int], rounds: int, dicts_at: int) -> None:
    """Entity Read File to a committed table with nested columns."""
    print(
        "\n| ERF JSON | DuckDB alone s | adelt s | ratio | bar | adelt peak MB |\n|---|---|---|---|---|---|"
    )
    for objects, bar in zip(sizes, (2.6, 2.0), strict=False):
        file = erf_json(folder / f"erf_{objects}.json", objects)
        seen = measure(["duckdb_erf", "adelt_erf"], file, folder, rounds)
        b, a = seen["duckdb_erf"]["seconds"], seen["adelt_erf"]["seconds"]
        peak = seen["adelt_erf"]["peak_mb"]
        print(
            f"| {objects:,} objects | {b:.2f} | {a:.2f} | **{a / b:.2f}** | {bar} | {peak:.0f} |", flush=True
        )
        file.unlink()
    file = erf_json(folder / "erf_dicts.json", dicts_at)
    seen = measure(["adelt_erf", "dlt_dicts_erf"], file, folder, 1)
    a, d = seen["adelt_erf"]["seconds"], seen["dlt_dicts_erf"]["seconds"]
    print(
        f"\ndlt dicts with the Parquet loader, {dicts_at:,} objects: {d:.1f} s, adelt {a:.2f} s: **{d / a:.1f}x**"
    )
    file.unlink()


def replace_table(folder: Path, sizes: Sequence[int]) -> None:
    """Replacing one day of 33,000 rows in tables of different sizes, through the same load as a task's."""
    from adelt_sources.load import Part, load
    from adelt_sources.scope import Scope
    from adelt_sources.warehouse import DuckDb

    print("\n| table | replace one day of 33,000 rows, s |\n|---|---|")
    part = folder / "day.parquet"
    for rows in sizes:
        database = folder / f"replace_{rows}.duckdb"
        days = rows // 33_000
        select = (
            "SELECT 1001::BIGINT AS partner_id, DATE '2020-01-01' + (i // 33000)::INT AS date, i AS line_item_id, "
            "'Line item ' || i AS line_item, i % 1000 AS impressions, (i % 1000 / 7)::DECIMAL(18,6) AS media_cost"
        )
        with duckdb.connect(str(database)) as con:
            con.execute(f"CREATE SCHEMA raw; CREATE TABLE raw.t AS {select} FROM range({days * 33_000}) r(i)")
            con.execute("SET disabled_optimizers = 'statistics_propagation'")
            middle = days // 2
            con.execute(
                f"COPY ({select} FROM range({middle * 33_000}, {(middle + 1) * 33_000}) r(i)) TO '{part}' (FORMAT parquet)"
            )
        assert pq.read_metadata(part).num_rows == 33_000
        day = date(2020, 1, 1) + timedelta(days=middle)
        took = []
        for _ in range(5):
            begun = time.perf_counter()
            scope = Scope({"partner_id": (1001,)}, ("date", day, day))
            load("bench", "raw", [Part("t", part, scope)], warehouse=DuckDb(database), work_dir=folder)
            took.append(time.perf_counter() - begun)
        with duckdb.connect(str(database)) as con:
            assert con.execute("SELECT count(*) FROM raw.t").fetchall() == [(days * 33_000,)]
        print(f"| {rows:,} rows | {statistics.median(took[1:]):.2f} |", flush=True)
        database.unlink()


def command_table(folder: Path) -> None:
    """What the command line costs: help, a task that is done already, and one ingest beyond its download and load."""
    import adelt_sandbox

    print("\n| command | median s | bar |\n|---|---|---|")
    print(f"| adelt --help | {_median(['--help'], {}):.2f} | 0.3 |", flush=True)
    with adelt_sandbox.running(report_seconds=0.01) as sandbox:
        sandbox.set_clock("2026-01-20T06:00:00Z")
        env = {**os.environ, **sandbox.env, "ADELT_HOME": str(folder / "home"), "ADELT_POLL_MIN": "0.05"}
        interval = ["--interval", "2026-01-19/2026-01-20"]
        task = ["task", "dv360_reports.ingest", "--matrix", "report=standard", *interval]
        _adelt(["run", "dv360_reports", *interval], env)
        print(f"| a task that is done already | {_median(task, env):.2f} | 0.5 |", flush=True)
        ingest = [
            "ingest",
            "dv360_reports",
            "standard",
            "--from",
            "2026-01-12",
            "--to",
            "2026-01-19",
            "--json",
        ]
        fixed = []
        for _ in range(7):
            begun = time.perf_counter()
            seconds = json.loads(_adelt(ingest, env))["seconds"]
            fixed.append(time.perf_counter() - begun - sum(seconds.values()))
        print(
            f"| adelt ingest, beyond its fetch and load | {statistics.median(fixed):.2f} | 1.5 |", flush=True
        )


def _adelt(arguments: Sequence[str], env: Mapping[str, str]) -> str:
    adelt = str(Path(sys.executable).with_name("adelt"))
    environment = dict(env) or None
    return subprocess.run(
        [adelt, *arguments], check=True, capture_output=True, text=True, env=environment
    ).stdout


def _median(arguments: Sequence[str], env: Mapping[str, str]) -> float:
    took = []
    for _ in range(7):
        begun = time.perf_counter()
        _adelt(arguments, env)
        took.append(time.perf_counter() - begun)
    return statistics.median(took)


def main() -> None:
    """Parse arguments and run everything."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--quick", action="store_true", help="small files, one round: does it run?")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--ten-years", action="store_true", help="only a backfill of 3,650 days (45 minutes)")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="adelt-bench-") as name:
        folder = Path(name)
        if arguments.ten_years:
            ten_years_table(folder, (2, 4) if arguments.quick else (365, 3650))
            return
        if arguments.quick:
            csv_table(folder, (50_000,), 1)
            erf_table(folder, (5_000,), 1, 1_000)
            replace_table(folder, (330_000,))
        else:
            csv_table(folder, (1_000_000, 5_000_000), arguments.rounds)
            erf_table(folder, (100_000, 500_000), arguments.rounds, 100_000)
            replace_table(folder, (1_000_000, 10_000_000))
        command_table(folder)
        workers_table(folder, 4 if arguments.quick else 40)
        backfills_table(folder, (2,) if arguments.quick else (36, 365))
        ledger_line(folder)
        airflow_table(folder, 20 if arguments.quick else 200, arguments.rounds)


if __name__ == "__main__":
    main()
