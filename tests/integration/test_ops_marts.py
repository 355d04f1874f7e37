"""The run history as data: real runs and a made-up past, served, loaded and modelled on DuckDB and on BigQuery."""

import contextlib
import json
import os
import sqlite3
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest
from bq import Reader
from history import listening
from oracle import differences, warehouse_rows
from receivers import Hooks

import adelt_sandbox
from adelt.ids import new_id
from adelt.ledger import Ledger, NewRun, NewTask, Operation
from adelt_sandbox import bigquery

ROOT = Path(__file__).parents[2]
ADELT = [sys.executable, "-P", "-m", "adelt"]
WORK = """
version: 1
name: work
defaults: {retries: {max: 1, delay: 0s}}
tasks:
  shaky: {run: "test -e {{ run.id }} || { touch {{ run.id }}; exit 1; }"}
  broken: {run: "echo no; exit 2", allow_failure: true}
  worse: {matrix: {n: [1, 2]}, run: "exit {{ matrix.n }}"}
"""
MARTS = {  # and what differs between two loads of the same history
    "fct_pipeline_runs": (),
    "fct_task_runs": (),
    "fct_table_loads_daily": (),
    "fct_table_freshness": ("as_of", "hours_since_success"),
    "fct_failures": (),
    "fct_costs_daily": (),
    "fct_anomalies": (),
}


def made_up_past(folder: Path) -> None:
    """Half a day of hourly loads of `raw.x`: the last but one brings nothing, the last takes ten times as long."""
    now = [time.time() - 12 * 3600]
    ledger = Ledger(folder / "ledger.sqlite", new_id=new_id, clock=lambda: now[0])
    for number in range(12):
        run = NewRun(
            f"past-{number}", "past", f"k{number}", "d", "local:/w", "2026-01-01", "2026-01-02", {}, "0"
        )
        assert ledger.claim_run(run, 1) is None
        task = NewTask(run.id, "past", "load", "load", {}, "ingest", f"t{number}", "d", "local:/w")
        claimed = ledger.claim_task(task)
        seconds = 1000.0 if number == 11 else 100.0
        now[0] += seconds
        rows = 0 if number == 10 else 50 + number % 3
        cost = {"bytes_billed": 1 << 20, "slot_ms": 40}
        load = Operation("INGESTION", "raw.x", "SUCCEEDED", rows, rows * 8, seconds, details=cost)
        ledger.finish_task(
            claimed.id, "SUCCEEDED", 0, metrics={"requests": {"a": 2, "b": 1}}, operations=[load]
        )
        ledger.finish_run(run.id, "SUCCEEDED")
        now[0] += 3600 - seconds


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Runs, their history as it was then, and both warehouses after `ops` has run for it."""
    folder = tmp_path_factory.mktemp("ops")
    (folder / "pipelines").mkdir()
    (folder / "dbt").symlink_to(ROOT / "dbt")
    hooks = Hooks()
    ops = (ROOT / "pipelines" / "ops.yml").read_text()
    (folder / "pipelines" / "ops.yml").write_text(ops.replace("to: []", f"to: [{{webhook: '{hooks.url}'}}]"))
    (folder / "pipelines" / "work.yml").write_text(WORK)
    home = folder / "home"
    home.mkdir()
    made_up_past(home)
    with (
        adelt_sandbox.running() as sandbox,
        bigquery.running(buckets=sandbox.buckets) as emulator,
    ):
        env = {
            **os.environ, **sandbox.env, **emulator.env, "ADELT_PROJECT": str(folder), "ADELT_HOME": str(home),
            "ADELT_WAREHOUSE": str(folder / "w.duckdb"), "ORCHESTRA_API_KEY": "", "ADELT_RETRY_MIN": "0.05",
        }  # fmt: skip

        def adelt(*words, code=0):
            done = subprocess.run([*ADELT, *words], cwd=folder, env=env, capture_output=True, text=True)
            assert done.returncode == code, done.stdout + done.stderr

        adelt("run", "work", "--date", "2026-01-05", code=1)
        with contextlib.closing(sqlite3.connect(home / "ledger.sqlite")) as con:
            con.execute("VACUUM INTO ?", (str(folder / "then.sqlite"),))  # `ops` adds to the history it reads
        today = datetime.now(UTC).date()
        day = today - timedelta(days=1)  # what `ops` is scheduled for this morning
        with listening(folder / "then.sqlite", home / "logs") as url:
            words = ("backfill", "ops", "--from", str(day), "--to", str(day), "-i", f"base_url={url}")
            adelt(*words)
            adelt(*words, "--target", "bigquery")
            told = list(hooks.got)
            adelt("task", "ops.alert", "--interval", f"{day}/{today}", "--run-id", "again", "--force")
        yield folder, Reader(emulator), told, hooks.got
    hooks.close()


@pytest.fixture(scope="module")
def ask(story):
    with duckdb.connect(str(story[0] / "w.duckdb"), read_only=True) as con:
        con.execute("SET TimeZone = 'UTC'; SET schema = 'marts_ops'")
        yield lambda sql: con.execute(sql).fetchall()


@pytest.fixture(scope="module")
def ledger(story):
    with contextlib.closing(sqlite3.connect(story[0] / "then.sqlite")) as con:
        yield lambda sql: con.execute(sql).fetchall()


def test_runs_are_those_of_the_ledger(ask, ledger):
    runs = ask(
        "SELECT pipeline_run_id, pipeline_name, status, interval_start::text, round(duration_s, 3)::double, rows_loaded,"
        " bytes_billed, api_requests, attempts FROM fct_pipeline_runs ORDER BY 1"
    )
    assert runs == ledger(
        "SELECT id, pipeline, status, interval_start,"
        " round((julianday(completed_at) - julianday(started_at)) * 86400, 3),"
        " (SELECT sum(o.rows) FROM operation o JOIN task_run t ON t.id = o.task_run_id"
        "  WHERE t.run_id = r.id AND o.kind = 'INGESTION'),"
        " iif(pipeline = 'past', 1048576, NULL), iif(pipeline = 'past', 3, NULL),"
        " (SELECT count(*) FROM task_run t WHERE t.run_id = r.id AND attempt > 0) FROM pipeline_run r ORDER BY 1"
    )
    assert len(runs) == 13


def test_tasks_of_a_run_count_by_how_they_ended_at_last(ask):
    assert ask(
        "SELECT status, tasks, tasks_succeeded, tasks_warned, tasks_failed, attempts FROM fct_pipeline_runs"
        " WHERE pipeline_name = 'work'"
    ) == [("FAILED", 4, 1, 1, 2, 6)]


def test_every_attempt_is_there_with_its_cause(ask):
    assert ask(
        "SELECT task_name, attempt, status, cause, is_last_attempt FROM fct_task_runs WHERE pipeline_name = 'work'"
        " ORDER BY 1, 2"
    ) == [
        ("broken", 1, "WARNING", "bad_input", True),
        ("shaky", 1, "FAILED", "other", False),
        ("shaky", 2, "SUCCEEDED", None, True),
        ("worse[n=1]", 1, "FAILED", "other", False),
        ("worse[n=1]", 2, "FAILED", "other", True),
        ("worse[n=2]", 1, "FAILED", "bad_input", True),
    ]


def test_failures_are_counted_by_cause(ask):
    assert ask("SELECT task_id, cause, pattern, failures, failures_open FROM fct_failures ORDER BY ALL") == [
        ("broken", "bad_input", "the command ended with exit code #: no", 1, 1),
        ("shaky", "other", "the command ended with exit code #", 1, 0),
        ("worse", "bad_input", "the command ended with exit code #", 1, 1),
        ("worse", "other", "the command ended with exit code #", 2, 2),
    ]


def test_rows_over_time_freshness_and_costs(ask, ledger):
    assert ask("SELECT sum(loads), sum(rows_loaded), sum(bytes_loaded) FROM fct_table_loads_daily") == ledger(
        "SELECT count(*), sum(rows), sum(bytes) FROM operation WHERE kind = 'INGESTION'"
    )
    assert ask(
        "SELECT table_name, strftime(last_success_at, '%Y-%m-%dT%H:%M:%S.%gZ'), data_until::text,"
        " days_behind = date_diff('day', date '2026-01-02', as_of::date), hours_since_success BETWEEN 0 AND 24"
        " FROM fct_table_freshness WHERE table_name = 'raw.x'"
    ) == [
        (name, when, until, True, True)
        for name, when, until in ledger("SELECT id, last_success, '2026-01-02' FROM asset WHERE id = 'raw.x'")
    ]
    assert ask(
        "SELECT sum(runs), sum(bytes_billed), sum(slot_ms), sum(api_requests) FROM fct_costs_daily"
    ) == [(13, 12 << 20, 480, 36)]


def test_what_is_unusual_was_told_once(story, ask):
    _, _, told, later = story
    expected = [
        ("no_rows", "raw.x got no rows; usually 51"),
        ("slow", "raw.x took 1000 s; usually 100, at most 160"),
    ]
    assert ask("SELECT kind, message FROM fct_anomalies WHERE is_first AND is_recent ORDER BY 1") == expected
    assert [body["environment"] for _, body in told] == ["local", "bigquery"]
    for _, body in told:
        assert [one["message"] for one in body["alerts"]] == [message for _, message in expected]
    assert later == told


@pytest.mark.parametrize("mart", MARTS)
def test_one_warehouse_equals_the_other(story, mart):
    folder, reader, *_ = story
    own = MARTS[mart]
    ours = warehouse_rows(folder / "w.duckdb", f"marts_ops.{mart}")
    theirs = reader.table(f"marts_ops.{mart}")
    assert ours
    assert differences(ours, theirs, own=own) == []


def test_the_ledger_keeps_what_was_told(story):
    with contextlib.closing(sqlite3.connect(story[0] / "home" / "ledger.sqlite")) as con:
        rows = con.execute(
            "SELECT t.env LIKE 'local:%', json_extract(t.outputs, '$.new') FROM task_run t"
            " WHERE t.kind = 'alert' ORDER BY t.started_at"
        ).fetchall()
    assert rows == [(1, 2), (0, 2), (1, 0)], json.dumps(rows)
