"""A dbt task that Cosmos does model by model, with the real Airflow and Cosmos: it ends as one `dbt build` does."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys

import duckdb
import pytest
from airflow_env import ROOT, Airflow
from oracle import differences, warehouse_rows
from patience import IMPATIENT
from small_dbt import ADELT, Small

import adelt_sandbox

pytestmark = [pytest.mark.airflow_cosmos, pytest.mark.timeout(1800)]
MORNING, DAY = "2026-01-29T00:00:00Z", "2026-01-28/2026-01-29"
QUIET = {"AIRFLOW__COSMOS__ENABLE_TELEMETRY": "False"}


@pytest.fixture(scope="module")
def airflow(tmp_path_factory):
    return Airflow(tmp_path_factory.mktemp("airflow"), "cosmos")


def list_models(folder, code=0):
    done = subprocess.run(
        [sys.executable, ROOT / "deploy/airflow/nodes.py", folder],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def here(small, name):
    """Another ledger and warehouse."""
    return {
        **small.env,
        **QUIET,
        "ADELT_HOME": str(small.folder / name),
        "ADELT_WAREHOUSE": f"{small.folder}/{name}.duckdb",
    }


def tables(small, name):
    with duckdb.connect(f"{small.folder}/{name}.duckdb", read_only=True) as con:
        found = con.execute("SELECT table_name FROM duckdb_tables() WHERE schema_name = 'marts_small' UNION ALL"
                            " SELECT view_name FROM duckdb_views() WHERE schema_name = 'marts_small'").fetchall()  # fmt: skip
        return {one: con.execute(f"SELECT * FROM marts_small.{one}").fetchall() for (one,) in sorted(found)}


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    small = Small(tmp_path_factory.mktemp("small"))
    small.write("deploy/airflow/config.yml", "cosmos: ['small.*']\n")
    list_models(small.folder)
    return small


@pytest.fixture(scope="module")
def ended(airflow, small):
    """The pipeline run by Airflow and locally: first as it is, then with a test that fails."""
    found = {}
    for name in ("good", "bad"):
        if name == "bad":
            small.write("dbt/models/two.sql", "select 'no day' as day, n + 1 as n from {{ ref('one') }}\n")
        said = airflow.test("small", MORNING, here(small, f"{name}-theirs"))
        local = small.adelt("run", "small", "--interval", DAY, "--json", env=here(small, f"{name}-ours"))
        states = airflow.states("small")
        found[name] = {
            "said": said,
            "states": states,
            "run": airflow.run_state("small"),
            "tries": {task: airflow.tries("small", task) for task in states},
            "local": json.loads(local.stdout[local.stdout.index("[") :])[0]["tasks"],
        }
    return found


def test_a_task_is_a_group_between_what_it_needs_and_what_needs_it(airflow, small):
    [found] = airflow.probe(small.folder)
    assert found["errors"] == []
    tasks = found["dags"][0]["tasks"]
    [relation] = [name for name in tasks if name.startswith("build-models.relationships")]
    models = {name: one for name, one in tasks.items() if name.startswith("build-models.")}
    assert {name: one["upstream"] for name, one in models.items()} == {
        "build-models.one.run": ["build-nodes"],
        "build-models.one.test": ["build-models.one.run"],
        "build-models.two_run": ["build-models.one.test"],
        relation: ["build-models.one.test", "build-models.two_run"],
        "build-models.four_run": sorted(["build-models.one.test", "build-models.two_run", relation]),
        "build-models.five_run": ["build-models.four_run"],
    }
    assert tasks["build-nodes"]["upstream"] == ["adelt-plan", "before"]
    assert set(tasks["build"]["upstream"]) == {"adelt-plan", "before", "build-models.five_run"}
    assert tasks["after"]["upstream"] == ["adelt-plan", "build"]
    assert tasks["build"]["outlets"] == ["adelt/small.build"]
    for one in [*models.values(), tasks["build-nodes"], tasks["build"]]:
        assert (one["retries"], one["delay"], one["timeout"]) == (2, 1.0, 600.0)
        assert one["rule"].lower().endswith("all_success")


def test_it_builds_what_one_build_does_and_the_history_has_every_model(airflow, small, ended):
    good = ended["good"]
    assert good["run"] == "success", good["said"][-6000:]
    assert tables(small, "good-theirs") == tables(small, "good-ours") != {}
    con = sqlite3.connect(small.folder / "good-theirs/ledger.sqlite")
    rows = con.execute("SELECT instance, status FROM task_run WHERE task = 'build' ORDER BY id").fetchall()
    con.close()
    assert [name.partition("[dbt=")[2][:8] for name, _ in rows] == [
        *("nodes]", "run adel", "test one", "run adel", "test rel", "run adel", "run adel", ""),
    ]
    assert {status for _, status in rows} == {"SUCCEEDED"}
    events = {
        uri for (uri,) in airflow.query("SELECT a.uri FROM asset_event e JOIN asset a ON a.id = e.asset_id")
    }
    assert events == {f"adelt://marts_small/{name}" for name in ("one", "two", "four", "five")}


def test_a_failed_test_stops_what_is_built_of_all_that_it_looks_at(small, ended):
    bad, states = ended["bad"], ended["bad"]["states"]
    [relation] = [name for name in states if name.startswith("build-models.relationships")]
    assert (states[relation], bad["tries"][relation]) == ("failed", 3)
    assert {name: states[f"build-models.{name}_run"] for name in ("two", "four", "five")} == {
        "two": "success",
        "four": "upstream_failed",
        "five": "upstream_failed",
    }
    assert (states["build"], states["after"], states["told"], bad["run"]) == (
        *("upstream_failed", "upstream_failed", "success", "failed"),
    )
    assert (bad["local"]["build"], bad["local"]["told"]) == ("FAILED", "SUCCEEDED")
    assert set(tables(small, "bad-theirs")) == set(tables(small, "bad-ours")) == {"one", "two"}


def test_models_that_the_dag_does_not_know_stop_it_at_once(airflow, small):
    file = small.write("dbt/models/new.sql", "select 1 as n\n")
    try:
        said = airflow.test("small", MORNING, here(small, "unknown"))
    finally:
        file.unlink()
    assert airflow.states("small")["build-nodes"] == "failed"
    assert airflow.tries("small", "build-nodes") == 1
    assert "`model.adelt.new` would be left out" in said
    assert tables(small, "unknown") == {}


def test_a_part_that_no_retry_can_help_is_not_tried_again(airflow, small, tmp_path):
    program = tmp_path / "adelt"
    program.write_text('#!/bin/sh\ncase "$*" in *"-- run"*) exit 2;; esac\n')
    program.chmod(0o755)
    airflow.test("small", MORNING, {**here(small, "hopeless"), "ADELT_COMMAND": str(program)})
    assert airflow.states("small")["build-models.one.run"] == "failed"
    assert airflow.tries("small", "build-models.one.run") == 1


def test_what_cosmos_cannot_do_or_is_not_there_breaks_its_own_dag_alone(airflow, small, tmp_path):
    folder = tmp_path / "broken"
    shutil.copytree(small.folder / "pipelines", folder / "pipelines")
    (folder / "pipelines/other.yml").write_text("{version: 1, name: other, tasks: {only: {run: x}}}")
    (folder / "deploy/airflow").mkdir(parents=True)
    (folder / "deploy/airflow/config.yml").write_text("cosmos: ['small.build']\n")
    [found] = airflow.probe(folder)
    assert found["errors"] == []
    assert {dag["id"]: "broken" in dag["tags"] for dag in found["dags"]} == {"other": False, "small": True}
    assert "run deploy/airflow/nodes.py" in found["dags"][1]["doc"]
    (folder / "deploy/airflow/config.yml").write_text("cosmos: ['small.built']\n")
    assert "`small.built` is no dbt task" in list_models(folder, code=2)


MARTS = """
version: 1
name: marts
interval: {every: day, lookback: 7d}
tasks:
  transform:
    env: {ADELT_WINDOW_START: "{{ window.start | date }}", ADELT_WINDOW_END: "{{ window.end | date }}"}
    dbt: {select: "+fct_delivery_daily +rec_dv360_cm360", exclude: "resource_type:unit_test *_are_known"}
"""


def test_the_marts_are_those_of_a_local_run(airflow, tmp_path):
    def env(name, project):
        files = {"ADELT_HOME": str(tmp_path / name), "ADELT_WAREHOUSE": str(tmp_path / f"{name}.duckdb")}
        return {**QUIET, **files, "ADELT_PROJECT": str(project), "ADELT_DAGS_PROJECT": str(project)}

    def adelt(*words, env):
        done = subprocess.run(
            [ADELT, *words], env={**os.environ, **env}, cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout + done.stderr

    with adelt_sandbox.running(state_dir=tmp_path / "sandbox", report_seconds=0.1) as sandbox:
        sandbox.set_clock("2026-01-29T06:30:00Z")
        for pipeline in ("dv360_entities", "dv360_reports", "cm360"):
            adelt("run", pipeline, "--interval", DAY, env={**sandbox.env, **IMPATIENT, **env("ours", ROOT)})
    shutil.copy(tmp_path / "ours.duckdb", tmp_path / "theirs.duckdb")

    project = tmp_path / "project"
    (project / "deploy/airflow").mkdir(parents=True)
    (project / "deploy/airflow/config.yml").write_text("cosmos: [marts.transform]\n")
    (project / "pipelines").mkdir()
    (project / "pipelines/marts.yml").write_text(MARTS)
    (project / "dbt").symlink_to(ROOT / "dbt")
    list_models(project)

    said = airflow.test("marts", MORNING, env("theirs", project))
    assert airflow.run_state("marts") == "success", said[-8000:]
    adelt("run", "marts", "--interval", DAY, env=env("ours", project))
    for mart in ("fct_delivery_daily", "rec_dv360_cm360"):
        ours, theirs = (
            warehouse_rows(tmp_path / f"{name}.duckdb", f"marts_ads.{mart}") for name in ("ours", "theirs")
        )
        assert ours
        assert differences(ours, theirs, own=()) == []
