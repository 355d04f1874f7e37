"""What a backfill costs: an invocation beyond its own work, how that grows with the days, and what the ledger is asked."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, timedelta
from pathlib import Path

import duckdb

import adelt_sandbox
from adelt import ids
from adelt.ledger import Ledger, NewRun, NewTask

TABLES = [
    "partner",
    "advertiser",
    "campaign",
    "insertion_order",
    "line_item",
    "ad_group",
    "ad",
    "creative",
    "inventory_source",
    "custom_bidding_algorithm",
    "floodlight_group",
    "floodlight_activity",
]
FIRST = date(2015, 1, 1)
AT_A_TIME = 2  # tasks, as the pipeline says; and cores
AS_PROCESSES = 6  # days, of which each has its 12 processes
COPIES = 100  # of what the first backfill left, to see whether the next one is slower
RUNS = 100_000


def backfills_table(folder: Path, days: tuple[int, ...]) -> None:
    """Days x 12 tables of the tiny world on DuckDB, two tasks at a time as the pipeline says, each in a new warehouse."""
    _head()
    _measure("a process for each", _processes, AS_PROCESSES, folder / "processes")
    for number in days:
        _measure("backfill", _backfill, number, folder / f"backfill-{number}")
    home = folder / f"backfill-{days[0]}"
    _multiply(home, days[0])
    _measure(f"backfill, {days[0] * COPIES:,} days later", _backfill, days[0], home)


def ten_years_table(folder: Path, days: tuple[int, ...]) -> None:
    """Days x 3 tables, each number of days as one backfill: do ten times the days take ten times as long?

    Three tasks keep two cores busy three quarters of the time, so what is beyond their work is not what it is for twelve.
    """
    _head()
    for number in days:
        _measure("backfill", _backfill, number, folder / f"few-{number}", TABLES[:3])


def _head() -> None:
    print("\n| way | days | invocations | wall s | own work s | beyond it, each s | bar |")
    print("|---|---|---|---|---|---|---|")


Way = Callable[[date, int, list[str], dict[str, str]], None]


def _measure(name: str, way: Way, days: int, home: Path, tables: list[str] = TABLES) -> None:
    """Own work is seconds of fetching and loading; what is beyond it counts both cores, also while they wait."""
    first, last_id = FIRST, ""
    if home.exists():
        first, last_id = FIRST + timedelta(days=days), ids.new_id()
    with adelt_sandbox.running(report_seconds=0.01) as sandbox:
        env = os.environ | sandbox.env | {"ADELT_HOME": str(home), "ADELT_WAREHOUSE": str(home / "w.duckdb")}
        begun = time.perf_counter()
        way(first, days, tables, env)
        wall = time.perf_counter() - begun
    count, work = _work(home, last_id)
    beyond = (wall * AT_A_TIME - work) / count
    bar = "0.060" if way is _backfill and tables is TABLES else ""
    print(f"| {name} | {days} | {count} | {wall:.0f} | {work:.0f} | **{beyond:.3f}** | {bar} |", flush=True)


def _backfill(first: date, days: int, tables: list[str], env: dict[str, str]) -> None:
    command = [sys.executable, "run_multiple_pipelines.py", "dv360_entities", "--from", str(first)]
    command += ["--to", str(first + timedelta(days=days - 1)), "-i", f"tables={','.join(tables)}"]
    subprocess.run(command, env=env, check=True, capture_output=True)


def _multiply(home: Path, days: int) -> None:
    """Make a ledger and a warehouse as if what is in them had been done a hundred times, for the days before."""
    with Ledger(home / "ledger.sqlite", new_id=ids.new_id).transaction() as con:
        for table in ("pipeline_run", "task_run"):
            names = [row["name"] for row in con.execute(f"PRAGMA table_info({table})")]
            copied = [f"{name} || '-' || n" if name in ("id", "run_id", "key") else name for name in names]
            con.execute(
                f"INSERT INTO {table} WITH RECURSIVE many (n) AS (SELECT 2 UNION ALL SELECT n + 1 FROM many"
                f" WHERE n < {COPIES}) SELECT {', '.join(copied)} FROM {table}, many"
            )
    with duckdb.connect(home / "w.duckdb") as warehouse:
        for table in TABLES:
            warehouse.execute(
                f"INSERT INTO raw_dv360.{table} SELECT t.* REPLACE (_snapshot_date - (n * {days})::INTEGER AS _snapshot_date)"
                f" FROM raw_dv360.{table} t, unnest(range(1, {COPIES})) AS many (n)"
            )


def _processes(first: date, days: int, tables: list[str], env: dict[str, str]) -> None:
    """What a shell script or another engine does: `adelt task` for each."""

    def task(day: date, table: str) -> None:
        interval = f"{day}/{day + timedelta(days=1)}"
        command = [
            sys.executable,
            "-P",
            "-m",
            "adelt",
            "task",
            "dv360_entities.ingest",
            "--interval",
            interval,
        ]
        command += ["--run-id", f"run-{day}", "--matrix", f"table={table}"]
        subprocess.run(command, env=env, check=True, capture_output=True)

    with ThreadPoolExecutor(AT_A_TIME) as pool:
        started = [
            pool.submit(task, first + timedelta(days=number), table)
            for number in range(days)
            for table in tables
        ]
    for one in started:
        one.result()


def ledger_line(folder: Path) -> None:
    """What a ledger with many task runs needs to say which of a backfill of ten years are missing."""
    path = folder / "many.sqlite"
    keys = _many(path)
    ledger = Ledger(path, new_id=ids.new_id)
    begun = time.perf_counter()
    missing = ledger.undone(keys)
    print(f"\nthe ledger, of {RUNS:,} task runs: {len(missing):,} of {len(keys):,} are missing, ", end="")
    print(f"**{time.perf_counter() - begun:.2f} s** (bar 0.2)")


def _work(home: Path, after: str) -> tuple[int, float]:
    """Invocations with a later id, and the seconds that they spent fetching and loading."""
    ledger = Ledger(home / "ledger.sqlite", new_id=ids.new_id)
    with ledger.connection() as con:
        found = [
            json.loads(row["metrics"])["seconds"]
            for row in con.execute(
                "SELECT metrics FROM task_run WHERE kind = 'ingest' AND status = 'SUCCEEDED' AND id > ?",
                (after,),
            )
        ]
    return len(found), sum(sum(one.values()) for one in found)


def _many(path: Path) -> list[str]:
    """A ledger of successes, and the keys of a backfill of ten years that is a tenth of the way."""
    ledger = Ledger(path, new_id=ids.new_id)
    run = NewRun("run", "p", "k", "d", "local", "2024-01-01", "2024-01-02", {}, "0")
    ledger.claim_run(run, 1)
    with ledger.transaction() as con:
        for number in range(RUNS):
            task = NewTask("run", "p", "t", f"t[{number}]", {}, "ingest", f"{number:064x}", "d", "local")
            claim = ids.new_id()
            con.execute(
                "INSERT INTO task_run (id, run_id, pipeline, task, instance, matrix, kind, key, digest, env, attempt,"
                " status, exit_code, started_at, completed_at) VALUES (?, ?, ?, ?, ?, '{}', ?, ?, ?, ?, 1, 'SUCCEEDED', 0,"
                " '2024-01-01T00:00:00.000Z', '2024-01-01T00:00:01.000Z')",
                (
                    claim,
                    task.run_id,
                    task.pipeline,
                    task.task,
                    task.instance,
                    task.kind,
                    task.key,
                    task.digest,
                    "local",
                ),
            )
    return [f"{number:064x}" for number in range(RUNS * 9 // 10, RUNS * 9 // 10 + 3650 * 12)]
