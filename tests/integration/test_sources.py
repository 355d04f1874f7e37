"""The sources over HTTP against the sandbox, into a DuckDB file: what lands, and what never does."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

import adelt_sandbox
from adelt_sources.catalog import catalog
from adelt_sources.errors import InputError, SourceError
from adelt_sources.ingest import Ingest, ingest
from adelt_sources.run import Patience
from adelt_sources.warehouse import DuckDb

NOW = "2026-01-20T06:00:00Z"
WINDOW = (date(2026, 1, 12), date(2026, 1, 20))
IMPATIENT = Patience(poll_min=0.02, poll_max=0.1, poll_deadline=20, retry_min=0.01, retry_max=0.05)
ALL = [
    *(("dv360", table) for table in catalog("dv360")),
    *(("cm360", table) for table in catalog("cm360")),
    ("dv360_reports", "standard"),
    ("cm360_reports", "standard"),
]
META = {"_run_id", "_loaded_at", "_unknown_fields"}


@pytest.fixture(scope="module")
def sandbox():
    """One sandbox for all tests of this file; its clock stands still."""
    with adelt_sandbox.running(report_seconds=0.02) as running:
        running.set_clock(NOW)
        yield running


@pytest.fixture(autouse=True)
def google(sandbox, monkeypatch):
    """Point the stock clients at the sandbox; no faults are left over."""
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    sandbox.set_faults([])


@pytest.fixture
def bring(sandbox, tmp_path):
    """Ingest one table; `rows` reads the warehouse."""

    class Bring:
        warehouse = tmp_path / "w.duckdb"
        work = tmp_path / "work"

        def __call__(
            self,
            source,
            table,
            window=WINDOW,
            run_id="run-1",
            patience=IMPATIENT,
            on_progress=print,
            **params,
        ):
            job = Ingest(
                source,
                table,
                *window,
                run_id,
                DuckDb(self.warehouse),
                self.work,
                params,
                sandbox.url,
                patience,
            )
            return ingest(job, on_progress)

        def rows(self, sql):
            with duckdb.connect(str(self.warehouse)) as con:
                return con.execute(sql).fetchall()

        def table(self, name):
            """All rows without adelt's own columns, in an order that does not depend on the load."""
            with duckdb.connect(str(self.warehouse)) as con:
                names = [f'"{r[0]}"' for r in con.execute(f"DESCRIBE {name}").fetchall() if r[0] not in META]
                return con.execute(f"SELECT {', '.join(names)} FROM {name} ORDER BY ALL").fetchall()

    return Bring()


@pytest.mark.parametrize(("source", "table"), ALL, ids=lambda value: value)
def test_every_table_comes_and_comes_again_the_same(bring, source, table):
    result = bring(source, table)
    name = f"{result.dataset}.{result.table}"
    first = bring.table(name)
    assert len(first) == result.rows > 0
    assert result.warnings == []
    bring(source, table, run_id="run-2")
    assert bring.table(name) == first
    assert bring.rows(f"SELECT DISTINCT _run_id FROM {name}") == [("run-2",)]


@pytest.mark.parametrize("table", catalog("dv360_erf"))
def test_every_entity_read_file_comes_from_the_buckets(bring, table):
    window = (date(2024, 10, 29), date(2024, 11, 1))
    result = (
        bring("dv360_erf", table, window, partner_ids="1001,1002")
        if _private(table)
        else bring("dv360_erf", table, window)
    )
    assert result.rows > 0
    days = bring.rows(f"SELECT count(DISTINCT _snapshot_date) FROM raw_erf.{table}")
    assert days == [(3,)]


def test_the_buckets_of_another_server_are_asked_with_its_own_credentials(bring, monkeypatch):
    window = (date(2024, 10, 30), date(2024, 10, 31))
    bring("dv360_erf", "line_item", window, partner_ids="1001")
    with adelt_sandbox.running() as other:
        for name, value in other.env.items():
            monkeypatch.setenv(name, value)
        bring("dv360_erf", "line_item", window, partner_ids="1001", run_id="run-2")
        assert other.stats()["by_api"]["storage"] > 0


def test_entity_read_files_come_the_same_from_an_archive(bring, sandbox, tmp_path):
    import fsspec

    window = (date(2024, 10, 30), date(2024, 11, 1))
    bring("dv360_erf", "insertion_order", window, partner_ids="1001", wait_for_summary="true")
    from_buckets = bring.table("raw_erf.insertion_order")
    remote = fsspec.filesystem("gs")
    for path in remote.glob("gdbm-1001/entity/202410*.InsertionOrder.json"):
        local = tmp_path / "archive" / path
        local.parent.mkdir(parents=True, exist_ok=True)
        remote.get_file(path, str(local))
    bring("dv360_erf", "insertion_order", window, archive=str(tmp_path / "archive"))
    assert bring.table("raw_erf.insertion_order") == from_buckets


def test_a_broken_entity_read_file_changes_nothing(bring, tmp_path):
    window = (date(2024, 10, 30), date(2024, 10, 31))
    file = tmp_path / "archive" / "1001" / "20241030.0.LineItem.json"
    file.parent.mkdir(parents=True)
    objects = [{"common_data": {"id": number, "name": f"n{number}"}} for number in range(3)]
    file.write_text("[\n" + ",\n".join(map(json.dumps, objects)) + "\n]")
    bring("dv360_erf", "line_item", window, archive=str(tmp_path / "archive"))
    before = bring.table("raw_erf.line_item")
    file.write_text(file.read_text().replace('"n1"', '"n1'))
    with pytest.raises(InputError, match="cannot be parsed") as caught:
        bring("dv360_erf", "line_item", window, run_id="run-2", archive=str(tmp_path / "archive"))
    assert caught.value.exit_code == 2
    assert file.name in caught.value.where
    assert bring.table("raw_erf.line_item") == before


def test_a_report_run_is_written_down(bring):
    bring("dv360_reports", "standard")
    (row,) = bring.rows(
        "SELECT run_id, report, query_id, report_id, window_start, window_end, states, footer, row_count, bytes, sha256,"
        " totals, status FROM raw_dv360._report_runs"
    )
    assert row[:2] == ("run-1", "standard")
    assert row[2].isdigit()
    assert row[3].isdigit()
    assert row[4:6] == WINDOW
    states = [state["state"] for state in json.loads(row[6])]
    assert states[-1] == "DONE"
    assert json.loads(row[7])["Report Time"]
    assert row[8] == bring.rows("SELECT count(*) FROM raw_dv360.report_standard")[0][0]
    assert row[9] > 1000
    assert len(row[10]) == 64
    sums = bring.rows("SELECT sum(impressions), sum(clicks) FROM raw_dv360.report_standard")[0]
    totals = json.loads(row[11])
    assert (int(float(totals["impressions"])), int(float(totals["clicks"]))) == sums
    assert row[12] == "loaded"


def test_queries_are_deleted_after_the_download_or_reused_by_request(bring, sandbox):
    from adelt_sources.google import Google
    from adelt_sources.run import Run

    def queries():
        run = Run("r", *WINDOW, {}, bring.work, IMPATIENT, sandbox.url, lambda _: None)
        google = Google(run)
        listed = google.pages(google.service("doubleclickbidmanager").queries(), "queries")
        return [query["queryId"] for page in listed for query in page]

    before = queries()
    bring("dv360_reports", "standard")
    assert queries() == before
    bring("dv360_reports", "standard", query="reuse", run_id="run-2")
    bring("dv360_reports", "standard", query="reuse", run_id="run-3")
    used = bring.rows(
        "SELECT DISTINCT query_id FROM raw_dv360._report_runs WHERE run_id IN ('run-2', 'run-3')"
    )
    assert len(used) == 1
    assert len(queries()) == len(before) + 1


def test_a_restated_day_replaces_the_old_figures(bring, sandbox):
    window = (date(2026, 1, 14), date(2026, 1, 15))
    try:
        sandbox.set_clock("2026-01-15T06:00:00Z")
        bring("dv360_reports", "standard", window)
        early = bring.table("raw_dv360.report_standard")
        sandbox.set_clock("2026-01-18T06:00:00Z")
        bring("dv360_reports", "standard", window, run_id="run-2")
    finally:
        sandbox.set_clock(NOW)
    late = bring.table("raw_dv360.report_standard")
    assert late != early
    assert {row[0] for row in late} == {date(2026, 1, 14)}


def test_an_empty_report_replaces_its_window(bring, sandbox):
    bring("dv360_reports", "standard")
    before = bring.rows("SELECT count(*) FROM raw_dv360.report_standard")
    try:
        sandbox.set_clock("2026-01-11T00:00:00Z")  # nothing of the window has happened yet, anywhere
        result = bring("dv360_reports", "standard", run_id="run-2")
    finally:
        sandbox.set_clock(NOW)
    assert before[0][0] > 0
    assert result.rows == 0
    assert bring.rows("SELECT count(*) FROM raw_dv360.report_standard") == [(0,)]


FAULTS = {
    "rate limit 429": {"match": {"api": "displayvideo"}, "nth": [1, 3], "fault": "quota_rate", "status": 429},
    "rate limit 403": {"match": {"api": "dfareporting"}, "nth": [1, 2], "fault": "quota_rate", "status": 403},
    "server errors": {
        "match": {"path": "/(v2|v4|dfareporting)/"},
        "every": 3,
        "fault": "http",
        "status": 503,
    },
    "reset in a download": {
        "match": {"path": "download|files"},
        "nth": 2,
        "fault": "reset",
        "after_bytes": 900,
    },
    "short body": {
        "match": {"path": "download|files"},
        "nth": [1, 3],
        "fault": "truncate",
        "keep_bytes": 100,
        "keep_length": True,
    },
    "slow report": {"match": {"path": "run|queries"}, "fault": "slow_report", "seconds": 0.3},
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize(("source", "table"), [("dv360_reports", "standard"), ("cm360_reports", "standard")])
def test_faults_that_pass_change_nothing(bring, sandbox, source, table, fault):
    result = bring(source, table)
    name = f"{result.dataset}.{result.table}"
    expected = bring.table(name)
    sandbox.set_faults([FAULTS[fault]])
    bring(source, table, run_id="run-2")
    assert bring.table(name) == expected


def test_a_failed_report_never_loads(bring, sandbox):
    bring("dv360_reports", "standard")
    before = bring.table("raw_dv360.report_standard")
    sandbox.set_faults([{"match": {"api": "doubleclickbidmanager"}, "fault": "failed_report"}])
    with pytest.raises(SourceError, match="finished as FAILED") as caught:
        bring("dv360_reports", "standard", run_id="run-2")
    assert caught.value.exit_code == 1
    assert bring.table("raw_dv360.report_standard") == before
    assert bring.rows("SELECT status FROM raw_dv360._report_runs WHERE run_id = 'run-2'") == [("failed",)]


def test_a_report_that_is_cut_short_never_loads_and_is_kept(bring, sandbox):
    bring("dv360_reports", "standard")
    before = bring.table("raw_dv360.report_standard")
    sandbox.set_faults([{"match": {"api": "download"}, "fault": "truncate", "keep_bytes": 3000}])
    with pytest.raises(SourceError, match=r"cut short|check failed") as caught:
        bring("dv360_reports", "standard", run_id="run-2")
    assert caught.value.exit_code == 1
    assert bring.table("raw_dv360.report_standard") == before
    assert list((bring.work / "run-2").rglob("*.csv"))


def test_retry_after_is_honoured(bring, sandbox):
    news = []
    fault = {
        "match": {"api": "displayvideo"},
        "nth": 1,
        "fault": "quota_rate",
        "status": 429,
        "retry_after": 1,
    }
    sandbox.set_faults([fault])
    begun = time.monotonic()
    bring("dv360", "partner", on_progress=news.append)
    assert time.monotonic() - begun >= 1  # without the header this patience would try again after 0.01 s
    assert any("trying again in 1 s" in item.message for item in news if item.phase == "wait")


def test_a_quota_that_is_used_up_says_when_it_resets(bring, sandbox):
    sandbox.set_faults([{"match": {"api": "doubleclickbidmanager"}, "fault": "quota_daily"}])
    with pytest.raises(SourceError, match="daily quota is used up") as caught:
        bring("dv360_reports", "standard")
    assert caught.value.exit_code == 1
    assert "midnight Pacific" in caught.value.fix


def test_a_refused_request_shows_the_request_and_is_not_retried(bring, sandbox):
    before = sandbox.stats()["requests"]
    with pytest.raises(InputError) as caught:
        bring("dv360", "campaign", partner_ids="99999999")
    assert caught.value.exit_code == 2
    assert "partnerId=99999999" in caught.value.where
    assert sandbox.stats()["requests"] - before < 5


@pytest.mark.parametrize(
    ("source", "table", "window", "params", "what"),
    [
        ("dv360", "campaign", (WINDOW[1], WINDOW[0]), {}, "ends .* before it begins"),
        ("dv360", "campaign", WINDOW, {"partners": "1"}, "no parameter `partners`"),
        ("dv360", "campaign", WINDOW, {"partner_ids": "abc"}, "`abc` is not an id"),
        ("dv360", "campaigns", WINDOW, {}, "no table `campaigns`"),
        ("dv_360", "campaign", WINDOW, {}, "no source `dv_360`"),
        ("cm360", "campaign", WINDOW, {"profile_ids": "1"}, "no user profile 1"),
        ("dv360_erf", "line_item", WINDOW, {}, "whose files"),
    ],
)
def test_bad_input_is_told_before_anything_is_changed(bring, source, table, window, params, what):
    with pytest.raises(InputError, match=what) as caught:
        bring(source, table, window, **params)
    assert caught.value.fix
    assert not bring.warehouse.exists()


def test_missing_credentials_are_bad_input(bring, monkeypatch, tmp_path):
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "no.json"))
    with pytest.raises(InputError, match="no Google credentials") as caught:
        bring("dv360", "campaign")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.fix


@pytest.fixture
def start(bring, sandbox, tmp_path):
    """Start `adelt ingest` as a process of its own, in its own process group."""
    env = {
        **os.environ,
        **sandbox.env,
        "ADELT_HOME": str(tmp_path / "home"),
        "ADELT_WAREHOUSE": str(bring.warehouse),
        "ADELT_POLL_MIN": "0.02",
        "ADELT_POLL_MAX": "0.1",
        "ADELT_RETRY_MIN": "0.01",
    }

    def run(source, table):
        window = ["--from", WINDOW[0].isoformat(), "--to", (WINDOW[1] - timedelta(days=1)).isoformat()]
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("adelt")), "ingest", source, table, *window],
            env=env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    return run


def test_eight_processes_load_one_file(bring, start):
    tables = ["campaign", "insertion_order", "line_item", "creative", "partner", "advertiser", "ad_group"]
    processes = [start("dv360", table) for table in tables]
    processes.append(start("dv360_reports", "standard"))
    errors = [process.communicate()[0].decode() for process in processes]
    assert [process.returncode for process in processes] == [0] * 8, errors
    for table in (*tables, "report_standard"):
        assert bring.rows(f"SELECT count(*) FROM raw_dv360.{table}")[0][0] > 0


def test_killed_at_ten_moments_it_ends_the_same(bring, start):
    begun = time.monotonic()
    assert start("dv360_reports", "standard").wait() == 0
    whole = time.monotonic() - begun
    expected = bring.table("raw_dv360.report_standard")
    moments = random.Random(7)
    killed = 0
    for _ in range(10):
        process = start("dv360_reports", "standard")
        # The later half is where files are written and rows are swapped.
        time.sleep(whole * moments.uniform(0.3, 1.0))
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            killed += 1
        process.wait()
        assert bring.table("raw_dv360.report_standard") == expected
    assert killed >= 5
    assert start("dv360_reports", "standard").wait() == 0
    assert bring.table("raw_dv360.report_standard") == expected


def _private(table):
    return catalog("dv360_erf")[table].facts["scope"] == "private"
