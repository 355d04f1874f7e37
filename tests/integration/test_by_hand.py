"""`adelt ingest` and `adelt replay` in the ledger: runs like any other, which say nothing about what pipelines have done."""

import json
import socket
from datetime import date

import duckdb
import pytest
from history import RUNS, fill, listening

from adelt import by_hand, definition, engine, settings
from adelt.cli.ingest import ingest as command
from adelt.serve.app import BASE
from adelt.window import Interval
from adelt_sources.errors import InputError, SourceError

TOKEN = "0123456789abcdef-token"
DAYS = {"first": "2026-01-01", "last": "2026-01-10"}
PIPELINE = """
version: 1
name: p
inputs: {url: {type: string}}
tasks:
  load: {ingest: {source: orchestra_metadata, table: pipeline_runs, params: {base_url: "{{ inputs.url }}"}}}
"""


@pytest.fixture
def home(tmp_path, monkeypatch):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/p.yml").write_text(PIPELINE)
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ADELT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADELT_TARGET", "local")
    monkeypatch.setenv("ADELT_WAREHOUSE", str(tmp_path / "w.duckdb"))
    monkeypatch.setenv("ADELT_SECRET_ORCHESTRA_API_KEY", TOKEN)
    monkeypatch.setenv("ADELT_RETRY_MIN", "0.01")
    return settings.load()


@pytest.fixture
def served(tmp_path):
    (tmp_path / "theirs").mkdir()
    fill(tmp_path / "theirs")
    with listening(tmp_path / "theirs/ledger.sqlite", tmp_path / "theirs/logs", TOKEN) as url:
        yield url + BASE


def bring(url, table="pipeline_runs"):
    command("orchestra_metadata", table, **DAYS, params=[f"base_url={url}"])


def test_a_table_that_is_brought_by_hand_is_a_run_of_its_own(home, served):
    bring(served)
    bring(served)
    ledger = engine.open_ledger(home)
    runs = ledger.runs()
    assert [(run["pipeline"], run["status"], run["trigger"], run["message"]) for run in runs] == [
        ("adelt ingest", "SUCCEEDED", "manual", "")
    ] * 2
    assert {(run["interval_start"], run["interval_end"]) for run in runs} == {("2026-01-01", "2026-01-11")}
    assert runs[0]["inputs"] == {"base_url": served}
    [task] = ledger.tasks(runs[0]["id"])
    assert (task["instance"], task["kind"], task["status"], task["exit_code"]) == (
        *("orchestra_metadata.pipeline_runs", "ingest", "SUCCEEDED", 0),
    )
    assert task["metrics"]["rows"] == RUNS
    assert task["metrics"]["requests"]["orchestra"] >= 10
    [operation] = ledger.operations(runs[0]["id"])
    assert (operation["kind"], operation["rows"]) == ("INGESTION", RUNS)
    [asset] = ledger.assets()
    assert (asset["id"], asset["last_interval"]) == ("raw_ops.pipeline_runs", "2026-01-01/2026-01-11")
    assert asset["run_id"] == runs[0]["id"]
    with duckdb.connect(str(home.warehouse.file), read_only=True) as con:
        rows = con.execute("SELECT _run_id, count(*) FROM raw_ops.pipeline_runs GROUP BY 1").fetchall()
    assert rows == [(runs[0]["id"], RUNS)]


def test_pipelines_do_their_own_tasks_all_the_same(home, served):
    command(
        *("orchestra_metadata", "pipeline_runs", "2026-01-02", "2026-01-02"), params=[f"base_url={served}"]
    )
    found = definition.find("p", home.project)
    request = engine.RunRequest(found, Interval(date(2026, 1, 2), date(2026, 1, 3)), {"url": served})
    assert engine.run_pipeline(home, request).tasks == {"load": "SUCCEEDED"}
    assert engine.run_pipeline(home, request).tasks == {"load": "DONE"}


def test_a_warehouse_that_is_made_anew_holds_nothing_of_the_old_one(home, served):
    found = definition.find("p", home.project)
    request = engine.RunRequest(found, Interval(date(2026, 1, 2), date(2026, 1, 3)), {"url": served})
    engine.run_pipeline(home, request)
    home.warehouse.file.unlink()
    bring(served, "assets")
    assert engine.run_pipeline(home, request).tasks == {"load": "SUCCEEDED"}


def test_a_failure_is_noted_and_told(home):
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))
        with pytest.raises(InputError):
            bring(f"http://127.0.0.1:{nobody.getsockname()[1]}")
    [run] = engine.open_ledger(home).runs()
    [task] = engine.open_ledger(home).tasks(run["id"])
    assert (run["status"], run["message"]) == ("FAILED", "no server answers on this machine")
    assert (task["status"], task["exit_code"], task["message"]) == ("FAILED", 2, run["message"])
    assert engine.open_ledger(home).assets() == []


@pytest.mark.parametrize(
    ("error", "status", "code"),
    [(SourceError(f"no {TOKEN}"), "FAILED", 1), (KeyboardInterrupt(), "CANCELLED", 130)],
)
def test_how_it_ended_is_noted_without_secrets(home, monkeypatch, error, status, code):
    def run(*_, **__):
        raise error

    monkeypatch.setattr(by_hand.ingest, "run", run)
    with pytest.raises(type(error)):
        bring("http://127.0.0.1:1")
    ledger = engine.open_ledger(home)
    [run] = ledger.runs()
    [task] = ledger.tasks(run["id"])
    assert (run["status"], task["status"], task["exit_code"]) == (status, status, code)
    assert TOKEN not in json.dumps([run, task])


def test_a_table_that_there_is_not_leaves_no_run(home):
    with pytest.raises(InputError, match="did you mean"):
        bring("http://127.0.0.1:1", "pipeline_rums")
    assert not home.ledger.exists()
