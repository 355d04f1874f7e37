"""The served run history: what a client of Orchestra's Metadata API gets from it."""

import json
import sqlite3
import subprocess
import sys
import time

import dlt
import pytest
import requests
from dlt.sources.helpers.rest_client.auth import BearerTokenAuth
from dlt.sources.helpers.rest_client.paginators import PageNumberPaginator
from dlt.sources.rest_api import rest_api_source
from history import RUNS, fill, listening

from adelt.engine import open_ledger
from adelt.ids import new_id
from adelt.ledger import Ledger, NewRun
from adelt.ledger.owner import Owner
from adelt.serve import resources
from adelt.serve.app import BASE
from adelt.settings import load

TOKEN = "0123456789abcdef-token"


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    folder = tmp_path_factory.mktemp("home")
    fill(folder)
    return folder


@pytest.fixture(scope="module")
def url(home):
    with listening(home / "ledger.sqlite", home / "logs") as url:
        yield url


def get(url, path, code=200, **params):
    answer = requests.get(f"{url}{path}", params=params, timeout=10)
    assert answer.status_code == code, answer.text
    return answer.json()


def test_the_blueprints_loader_loads_it_unchanged(home, tmp_path):
    """A dlt rest_api source as one writes it for Orchestra: four resources, page numbers, merge on the id."""
    with listening(home / "ledger.sqlite", home / "logs", TOKEN) as url:

        def load_all():
            names = {"pipeline_runs": "id", "task_runs": "id", "operations": "id", "assets": "assetId"}
            source = rest_api_source(
                {
                    "client": {
                        "base_url": f"{url}{BASE}/",
                        "auth": BearerTokenAuth(TOKEN),
                        "paginator": PageNumberPaginator(base_page=1, page_param="page", total_path="total"),
                    },
                    "resource_defaults": {
                        "write_disposition": "merge",
                        "endpoint": {"params": {"page_size": 50}, "data_selector": "results"},
                    },
                    "resources": [
                        {"name": name, "primary_key": key, "endpoint": {"path": name}}
                        for name, key in names.items()
                    ],
                }
            )
            file = dlt.destinations.duckdb(str(tmp_path / "w.duckdb"))
            pipeline = dlt.pipeline("orchestra", destination=file, dataset_name="ops", pipelines_dir=tmp_path)
            pipeline.run(source)
            with pipeline.sql_client() as client:
                counts = {
                    name: client.execute_sql(f"SELECT count(*), count(DISTINCT {key}) FROM {name}")[0]
                    for name, key in [*zip(names, ("id", "id", "id", "asset_id"), strict=True)]
                }
                failed = client.execute_sql(
                    "SELECT count(*) FROM pipeline_runs WHERE run_status = 'FAILED' AND message = 'it broke'"
                )
                rows = client.execute_sql("SELECT sum(rows_affected) FROM operations")
            return counts, failed[0][0], int(rows[0][0])

        expected = (
            {
                "pipeline_runs": (130, 130),
                "task_runs": (130, 130),
                "operations": (130, 130),
                "assets": (2, 2),
            },
            13,
            sum(range(RUNS)),
        )
        assert load_all() == expected
        assert load_all() == expected  # merged, not doubled


def test_pages_hold_every_run_once_newest_first(url):
    seen = []
    for page in (1, 2, 3, 4):
        got = get(url, "/pipeline_runs", page=page)
        assert (got["page"], got["pageSize"], got["total"]) == (page, 50, RUNS)
        seen += [run["id"] for run in got["results"]]
    assert seen == [f"run-{number:04d}" for number in reversed(range(RUNS))]


def test_runs_are_looked_up_and_not_compared_with_each_other(home):
    with resources.History(home / "ledger.sqlite")._connection() as con:
        plan = con.execute(f"EXPLAIN QUERY PLAN {resources._RUNS}").fetchall()
    assert any("SEARCH c USING" in row["detail"] for row in plan)  # the children of each


def test_a_run_says_what_orchestra_says(url):
    run = get(url, f"{BASE}/pipeline_runs", pipeline_run_ids="run-0001")["results"][0]
    assert run["pipelineName"] == "b"
    assert run["runStatus"] == "SUCCEEDED"
    assert run["triggeredBy"] == [{"triggerType": "manual", "pipelineRunId": "run-0000"}]
    assert (run["createdAt"], run["completedAt"]) == ("2026-01-01T01:00:00.000Z", "2026-01-01T01:30:00.000Z")
    assert (run["envName"], run["runInputs"], run["intervalEnd"]) == ("local", {"n": 1}, "2026-01-02")
    assert not any("_" in name or "duckdb" in str(value) for name, value in run.items())
    parent = get(url, "/pipeline_runs", pipeline_run_ids="run-0000")["results"][0]
    assert parent["childPipelineRuns"] == [{"pipelineRunId": "run-0001"}]


@pytest.mark.parametrize(
    ("path", "params", "total"),
    [
        ("/pipeline_runs", {"status": "FAILED"}, 13),
        ("/pipeline_runs", {"status": "FAILED,RUNNING", "pipeline_ids": "b"}, 13),
        ("/pipeline_runs", {"status": "FAILED", "pipeline_ids": "a"}, 0),
        ("/pipeline_runs", {"pipeline_ids": "a,b", "pipeline_run_ids": "run-0003,run-0004,none"}, 2),
        ("/pipeline_runs", {"time_from": "2026-01-02T00:00:00Z", "time_to": "2026-01-03T00:00:00Z"}, 24),
        ("/pipeline_runs", {"time_from": "2026-01-02T01:00:00+01:00", "time_to": "2026-01-03"}, 24),
        ("/task_runs", {"integration": "DBT_CORE"}, 65),
        ("/operations", {"operation_type": "INGESTION"}, 65),
        ("/operations", {"operation_type": "INGESTION,MATERIALISATION", "external_id": "ext-5"}, 1),
        ("/operations", {"status": "FAILED"}, 13),
        ("/assets", {}, 2),
        ("/assets", {"type": "VIEW"}, 0),
        ("/assets", {"integration": "DBT_CORE"}, 1),
        ("/pipeline_runs/run-0003/task_runs", {}, 1),
    ],
)
def test_filters(url, path, params, total):
    assert get(url, path, **params)["total"] == total


def test_a_plus_that_was_not_escaped_is_a_plus(url):
    window = "time_from=2026-01-02T01:00:00+01:00&time_to=2026-01-03T01:00:00+01:00"
    assert get(url, f"/pipeline_runs?{window}")["total"] == 24


def test_an_asset_is_as_fresh_as_its_last_success(url):
    asset = next(a for a in get(url, "/assets")["results"] if a["assetName"] == "raw.b")
    assert asset["pipelineRunId"] == "run-0127"  # 0129 failed
    assert asset["lastSuccess"] == "2026-01-06T07:30:00.000Z"
    assert (asset["intervalStart"], asset["intervalEnd"]) == ("2026-01-01", "2026-01-02")


@pytest.mark.parametrize(
    ("params", "loc", "kind"),
    [
        ({"status": "GREEN"}, ["query", "status", 0], "enum"),
        ({"statuses": "FAILED"}, ["query", "statuses"], "extra_forbidden"),
        ({"page": "0"}, ["query", "page"], "greater_than_equal"),
        ({"page_size": "101"}, ["query", "page_size"], "less_than_equal"),
        ({"page": "x"}, ["query", "page"], "int_parsing"),
        ({"page": "9" * 30}, ["query", "page"], "less_than_equal"),
        ({"status": ""}, ["query", "status"], "empty"),
        ({"pipeline_run_ids": " ,"}, ["query", "pipeline_run_ids"], "empty"),
        ({"time_from": "0001-01-01T00:00+14:00", "time_to": "0001-01-02"}, ["query", "time_from"], "time"),
        ({"time_from": "2026-01-01"}, ["query"], "window"),
        ({"time_from": "2026-01-01", "time_to": "2026-01-08T00:00:01"}, ["query"], "window"),
        ({"time_from": "2026-01-02", "time_to": "2026-01-01"}, ["query"], "window"),
        ({"time_from": "yesterday", "time_to": "2026-01-01"}, ["query", "time_from"], "datetime_from_date_parsing"),
    ],
)  # fmt: skip
def test_a_filter_that_means_nothing_is_refused(url, params, loc, kind):
    detail = get(url, "/pipeline_runs", 422, **params)["detail"]
    assert [(one["loc"], one["type"]) for one in detail] == [(loc, kind)]
    assert set(detail[0]) == {"loc", "msg", "type"}


def test_status_and_logs_of_one_run(url, home):
    assert get(url, "/pipeline_runs/run-0009/status")["runStatus"] == "FAILED"
    assert "detail" in get(url, "/pipeline_runs/nothing/status", 404)
    task = get(url, "/pipeline_runs/run-0009/task_runs")["results"][0]["id"]
    path = f"{url}/pipeline_runs/run-0009/task_runs/{task}/logs"
    assert requests.get(path, timeout=10).text == "log of run-0009\n"
    part = requests.get(f"{path}/download", headers={"Range": "bytes=0-2"}, timeout=10)
    assert (part.status_code, part.text) == (206, "log")
    (home / "secret.txt").write_text("mine", "utf-8")
    with sqlite3.connect(home / "ledger.sqlite") as con:
        con.execute("UPDATE task_run SET log_path = ? WHERE id = ?", (f"{home}/logs/../secret.txt", task))
    assert requests.get(path, timeout=10).status_code == 404


def test_a_run_whose_process_died_is_not_shown_as_running(tmp_path):
    ledger = Ledger(
        tmp_path / "l.sqlite", new_id=new_id, owner=Owner("elsewhere", "b", 1, ""), clock=lambda: 0
    )
    run = NewRun("r", "p", "k", "d", "local", "2026-01-01", "2026-01-02", {}, "0")
    assert ledger.claim_run(run, 1) is None
    living = Ledger(tmp_path / "l.sqlite", new_id=new_id, clock=time.time)
    assert living.claim_run(NewRun("s", "q", "k", "d", "l", "2026-01-01", "2026-01-02", {}, "0"), 1) is None
    with sqlite3.connect(tmp_path / "l.sqlite") as con:
        con.execute("UPDATE pipeline_run SET status = 'RUNNING' WHERE id = 'r'")  # the second one closed it
    before = (tmp_path / "l.sqlite").read_bytes()
    with listening(tmp_path / "l.sqlite", tmp_path) as url:
        assert get(url, "/pipeline_runs/r/status")["runStatus"] == "FAILED"
        assert get(url, "/pipeline_runs", status="RUNNING")["results"][0]["id"] == "s"
    assert (tmp_path / "l.sqlite").read_bytes() == before


def test_who_may_ask(home):
    with listening(home / "ledger.sqlite", home / "logs", TOKEN) as url:
        for header in ({}, {"Authorization": f"Bearer {TOKEN}x"}, {"Authorization": f"Basic {TOKEN}"}):
            answer = requests.get(f"{url}/assets", headers=header, timeout=10)
            assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        good = requests.get(f"{url}/assets", headers={"Authorization": f"Bearer {TOKEN}"}, timeout=10)
        assert good.status_code == 200
    with listening(home / "ledger.sqlite", home / "logs") as url:
        rebound = requests.get(f"{url}/assets", headers={"Host": "evil.example"}, timeout=10)
        assert rebound.status_code == 403
        other = requests.get(f"{url}/assets", headers={"Host": "127.0.0.2:8780"}, timeout=10)
        assert other.status_code == 200
        assert requests.post(f"{url}/assets", timeout=10).status_code == 405


def test_the_command(tmp_path, monkeypatch):
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    monkeypatch.delenv("ADELT_HOME", raising=False)
    adelt = [sys.executable, "-P", "-m", "adelt", "serve", "--json", "--port", "0"]
    refused = subprocess.run([*adelt, "--host", "0.0.0.0"], capture_output=True, text=True, timeout=60)
    assert refused.returncode == 2
    assert "without a token" in refused.stderr
    assert not (tmp_path / ".adelt").exists()
    open_ledger(load())
    with subprocess.Popen(adelt, stdout=subprocess.PIPE, text=True) as process:
        try:
            text = ""
            while not text.endswith("}\n"):
                text += process.stdout.readline()
            assert get(json.loads(text)["url"], "/pipeline_runs")["total"] == 0
        finally:
            process.terminate()
        assert process.wait(20) in (0, -15)
