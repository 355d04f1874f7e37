"""What a backfill costs: an invocation beyond its own work, how that grows with the days, and what the ledger is asked."""

import json
import os
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

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
FIRST = date(2024, 1, 1)
RUNS = 100_000


def backfills_table(folder: Path, days: tuple[int, ...]) -> None:
    """Days x 12 tables of the tiny world on DuckDB, two tasks at a time as the pipeline says, each in a new warehouse."""
    print(
        "\n| backfill | invocations | wall s | own work s | beyond it, each s | bar |\n|---|---|---|---|---|---|"
    )
    with adelt_sandbox.running(report_seconds=0.01) as sandbox:
        for number in days:
            home = folder / f"backfill-{number}"
            env = {
                **os.environ,
                **sandbox.env,
                "ADELT_HOME": str(home),
                "ADELT_WAREHOUSE": str(home / "w.duckdb"),
            }
            last = FIRST + timedelta(days=number - 1)
            command = [sys.executable, "run_multiple_pipelines.py", "dv360_entities", "--from", str(FIRST)]
            command += ["--to", str(last), "-i", f"tables={','.join(TABLES)}"]
            begun = time.perf_counter()
            subprocess.run(command, env=env, check=True, capture_output=True)
            wall = time.perf_counter() - begun
            count, work = _work(home)
            print(
                f"| {number} days | {count} | {wall:.0f} | {work:.0f} | **{(wall * 2 - work) / count:.3f}** | 0.060 |"
            )
    path = folder / "many.sqlite"
    keys = _many(path)
    ledger = Ledger(path, new_id=ids.new_id)
    begun = time.perf_counter()
    missing = ledger.undone(keys)
    print(f"\nthe ledger, of {RUNS:,} task runs: {len(missing):,} of {len(keys):,} are missing, ", end="")
    print(f"**{time.perf_counter() - begun:.2f} s** (bar 0.2)")


def _work(home: Path) -> tuple[int, float]:
    """Invocations, and the seconds that they spent fetching and loading."""
    ledger = Ledger(home / "ledger.sqlite", new_id=ids.new_id)
    with ledger.connection() as con:
        found = [
            json.loads(row["metrics"])["seconds"]
            for row in con.execute(
                "SELECT metrics FROM task_run WHERE kind = 'ingest' AND status = 'SUCCEEDED'"
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
