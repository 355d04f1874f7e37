"""Commands on the target `bigquery`: the same as on DuckDB, and what only BigQuery has."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from patience import IMPATIENT

import adelt_sandbox
from adelt_sandbox import bigquery

ADELT = str(Path(sys.executable).with_name("adelt"))
PIPELINE = """
version: 1
name: counts
interval: {every: day}
tasks:
  ready: {sensor: {sql: "select count(*) > 0 from raw_dv360.report_standard", poll: 1s, timeout: 20s}}
  make:
    needs: [ready]
    sql:
      statement: |
        create schema if not exists scratch;
        create or replace table scratch.days as
          select date as day, count(*) as n from raw_dv360.report_standard where date < @until group by 1;
      params: {until: "{{ interval.end | date }}"}
  look:
    needs: [make]
    sql: {statement: "select count(*) from scratch.days"}
  each:
    needs: [make]
    matrix: {n: [1, 2]}
    sql: {statement: "insert into scratch.days values (date '2025-01-0{{ matrix.n }}', 1)"}
"""

READING = f"""
version: 1
name: reading
interval: {{every: day}}
tasks:
  look:
    sql: {{statement: select sum(impressions) from `{bigquery.PROJECT}.raw_dv360.report_standard` where date > date '2026-01-01'}}
"""


@pytest.fixture(scope="module")
def adelt(tmp_path_factory):
    """Run a command in a project of its own; its result."""
    folder = tmp_path_factory.mktemp("commands")
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "counts.yml").write_text(PIPELINE)
    (folder / "pipelines" / "reading.yml").write_text(READING)
    source = Path(__file__).parents[2]
    for name in ("dv360_reports.yml",):
        (folder / "pipelines" / name).write_text((source / "pipelines" / name).read_text())
    with (
        adelt_sandbox.running() as sandbox,
        bigquery.running(buckets=sandbox.buckets) as emulator,
    ):
        sandbox.set_clock("2026-01-29T06:00:00Z")
        env = {
            **os.environ, **sandbox.env, **emulator.env, "ADELT_PROJECT": str(folder), "ADELT_TARGET": "bigquery",
            **IMPATIENT,
        }  # fmt: skip

        def run(*words, **more):
            return subprocess.run(
                [ADELT, *words], env={**env, **more}, cwd=folder, capture_output=True, text=True, check=False
            )

        done = run("run", "dv360_reports", "--date", "2026-01-28")
        assert done.returncode == 0, done.stdout + done.stderr
        yield run


def test_a_query_answers_and_changes_nothing(adelt):
    done = adelt("query", "select count(*) as n from raw_dv360.report_standard", "--json")
    assert json.loads(done.stdout)[0]["n"] > 100
    refused = adelt("query", "delete from raw_dv360.report_standard where true")
    assert (refused.returncode, "only a query can be asked" in refused.stderr) == (2, True)


def test_sql_and_sensors_work(adelt):
    done = adelt("run", "counts", "--date", "2026-01-27", ADELT_MAX_RUN_BYTES="1000000000")
    assert done.returncode == 0, done.stdout + done.stderr
    # A statement with parameters, and what it will make, can be estimated only afterwards.
    assert "the estimate goes without them: make, look\n" in done.stderr
    asked = adelt("query", "select max(day) as last_day from scratch.days", "--json")
    assert json.loads(asked.stdout) == [{"last_day": "2026-01-27"}]


def test_every_item_and_every_try_of_sql_is_done(adelt, tmp_path):
    words = ("--interval", "2026-01-27/2026-01-28", "--run-id", "r")
    for n, home in ((1, "a"), (2, "a"), (2, "b")):  # the second worker knows nothing of the first one's tries
        done = adelt("task", "counts.each", "--matrix", f"n={n}", *words, ADELT_HOME=str(tmp_path / home))
        assert done.returncode == 0, done.stdout + done.stderr
    asked = adelt(
        "query", "select n, count(*) as rows_ from (select extract(day from day) as n from scratch.days"
        " where day < '2026-01-01') group by 1 order by 1", "--json",
    )  # fmt: skip
    assert [one["rows_"] for one in json.loads(asked.stdout)] == [2, 3]


def test_a_plan_says_what_it_would_cost(adelt):
    done = json.loads(adelt("plan", "dv360_reports", "--date", "2026-01-28", "--force", "--json").stdout)
    assert sum(done[0]["bytes"].values()) > 10_000
    first = json.loads(adelt("plan", "dv360_reports", "--date", "2025-01-28", "--json").stdout)
    assert list(first[0]["bytes"].values()) == [0]  # nothing is there yet that would be rewritten
    assert "billed" in adelt("plan", "dv360_reports", "--date", "2026-01-28", "--force").stdout


def test_a_run_that_would_exceed_the_limit_does_not_begin(adelt):
    words = ("run", "dv360_reports", "--date", "2026-01-28", "--force")
    done = adelt(*words, ADELT_MAX_RUN_BYTES="1000")
    assert done.returncode == 2
    assert "1,000 are allowed" in done.stderr
    assert "max_run_bytes" in done.stderr


def test_a_backfill_of_which_a_chunk_would_exceed_the_limit_does_not_begin(adelt):
    words = ("backfill", "dv360_reports", "--from", "2026-01-26", "--to", "2026-01-27")
    done = adelt(*words, ADELT_MAX_RUN_BYTES="1000")
    assert (done.returncode, "1,000 are allowed" in done.stderr) == (2, True), done.stdout + done.stderr
    assert "there is no backfill" in adelt("backfill", "--status", "last").stderr
    assert adelt(*words, "--dry-run", ADELT_MAX_RUN_BYTES="1000000000").returncode == 0


def test_the_limit_is_for_each_run_and_for_each_task_that_an_engine_starts(adelt):
    words = ("reading", "--from", "2026-01-26", "--to", "2026-01-27")
    plans = json.loads(adelt("plan", *words, "--json").stdout)
    first, second = (sum(one["bytes"].values()) for one in plans)
    assert first == second > 0
    task = ("task", "reading.look", "--interval", "2026-01-26/2026-01-27")
    refused = adelt(*task, "--run-id", "asked", ADELT_MAX_RUN_BYTES=str(first - 1))
    assert (refused.returncode, f"{first - 1:,} are allowed" in refused.stdout) == (2, True), refused.stdout
    (told,) = json.loads(adelt("runs", "asked", "--json").stdout)["tasks"]
    assert (told["status"], told["exit_code"]) == ("FAILED", 2)
    assert adelt(*task, ADELT_MAX_RUN_BYTES=str(first)).returncode == 0
    done = adelt("run", *words, "--force", ADELT_MAX_RUN_BYTES=str(first))  # together they are twice as much
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_it_cost_is_in_the_ledger(adelt):
    run = json.loads(adelt("runs", "--json").stdout)[-1]
    shown = json.loads(adelt("runs", run["id"], "--json").stdout)
    (operation,) = [one for one in shown["operations"] if one["kind"] == "INGESTION"]
    assert operation["details"]["bytes_billed"] > 10_000  # the rows on their way in
    assert sorted(job.rpartition("_")[2] for job in operation["details"]["jobs"]) == [
        "append",
        "load",
        "merge",
    ]


def test_a_wrong_location_is_told_and_not_retried(adelt):
    done = adelt("run", "dv360_reports", "--date", "2026-01-28", "--force", ADELT_BIGQUERY_LOCATION="US")
    assert done.returncode == 2
    assert "the dataset is in EU, the target says US" in done.stdout + done.stderr


def test_a_target_that_is_not_complete_is_told(adelt):
    done = adelt("plan", "counts", "--target", "nowhere")
    assert (done.returncode, "there is no target `nowhere`" in done.stderr) == (2, True)
    done = adelt("plan", "counts", ADELT_BIGQUERY_PROJECT="")
    assert (done.returncode, "ADELT_BIGQUERY_PROJECT is not set" in done.stderr) == (2, True)


def test_two_environments_keep_apart(adelt):
    words = ("run", "dv360_reports", "--date", "2026-01-27")
    assert adelt(*words).returncode == 0
    assert "1 to run" in adelt("plan", *words[1:], ADELT_DATASET_PREFIX="dev_").stdout
    other = adelt(*words, ADELT_DATASET_PREFIX="dev_")
    assert other.returncode == 0, other.stdout + other.stderr
    assert "0 to run" in adelt("plan", *words[1:]).stdout
    assert "0 to run" in adelt("plan", *words[1:], ADELT_DATASET_PREFIX="dev_").stdout
    assert "1 to run" in adelt("plan", *words[1:], ADELT_DATASET_PREFIX="stg_").stdout
