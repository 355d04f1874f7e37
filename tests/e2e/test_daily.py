"""The main job: an archive, then `daily` for seven days while the clock moves on, on DuckDB and on BigQuery side by side;
every cell equals the oracle's, and so one warehouse's the other's.

The commands are those of the README, as processes; sandbox and BigQuery are real HTTP. Reports are restated, entities are
renamed, added and removed in these days, and on the last morning requests fail, downloads break and a report fails.
"""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from bq import Reader
from oracle import LOOKBACK, differences, truth_after, warehouse_rows
from patience import IMPATIENT

import adelt_sandbox
from adelt_sandbox import bigquery
from adelt_sources.catalog import catalog, sources

ROOT = Path(__file__).parents[2]
ADELT = str(Path(sys.executable).with_name("adelt"))
ERF = [date(2024, 10, 30), date(2024, 10, 31)]
DAYS = [
    date(2026, 1, 28) + timedelta(days=number) for number in range(7)
]  # over the end of a month, when reports are credited
TARGETS = ["local", "bigquery"]
LOAD = ("_run_id", "_loaded_at")  # which load a row came with

REPORTS = ["raw_dv360.report_standard", "raw_cm360.report_standard"]
ENTITIES = [spec.qualified for source in ("dv360", "cm360", "dv360_erf") for spec in catalog(source).values()]
MARTS = [
    "marts_ads.dim_partner",
    "marts_ads.dim_advertiser",
    "marts_ads.dim_campaign",
    "marts_ads.dim_insertion_order",
    "marts_ads.dim_line_item",
    "marts_ads.dim_creative",
    "marts_ads.dim_placement",
    "marts_ads.dim_site",
    "marts_ads.fct_delivery_daily",
    "marts_ads.rec_dv360_cm360",
]
TRANSIENT = [
    {"match": {"path": "/(v2|v4|dfareporting)/"}, "every": 7, "fault": "http", "status": 503},
    {"match": {"api": "displayvideo"}, "every": 11, "fault": "quota_rate", "status": 429},
    {"match": {"api": "download"}, "nth": 1, "fault": "reset", "after_bytes": 2000},
    {"match": {"path": "/files/"}, "every": 5, "fault": "reset", "after_bytes": 500},
    {"match": {"path": "run"}, "nth": 1, "fault": "slow_report", "seconds": 1},
    {"match": {"api": "doubleclickbidmanager"}, "nth": 2, "fault": "failed_report"},
]


class Story:
    """Two warehouses, a sandbox, and the commands between them."""

    def __init__(self, folder: Path, sandbox: adelt_sandbox.Running, emulator: bigquery.Running) -> None:
        self.sandbox, self.emulator, self.home = sandbox, emulator, folder / "home"
        self.warehouse = folder / "warehouse.duckdb"
        self.bigquery = Reader(emulator)
        self.env = {
            **os.environ,
            **sandbox.env,
            **emulator.env,
            "ADELT_HOME": str(self.home),
            "ADELT_WAREHOUSE": str(self.warehouse),
            **IMPATIENT,
        }
        self._bigquery_rows: dict[str, list[dict]] = {}
        self._truths: dict[str, list[dict]] = {}

    def adelt(self, *arguments: str, targets: Sequence[str] = TARGETS) -> None:
        """Run a command on each target at the same time; an assertion with everything it said if one fails."""
        running = [
            subprocess.Popen(
                [ADELT, *arguments, "--target", target],
                cwd=ROOT, env=self.env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            )
            for target in targets
        ]  # fmt: skip
        said = [process.communicate()[0] for process in running]
        for process, target, output in zip(running, targets, said, strict=True):
            assert process.returncode == 0, f"{arguments} on {target}: {process.returncode}\n{output}"

    def rows(self, target: str, table: str) -> list[dict]:
        """Every row of a table; BigQuery's, which nothing changes after the story, are read once."""
        if target == "local":
            return warehouse_rows(self.warehouse, table)
        if table not in self._bigquery_rows:
            self._bigquery_rows[table] = self.bigquery.table(table)
        return self._bigquery_rows[table]

    def morning_after(self, day: date) -> str:
        """The instant at which `daily` runs for a day."""
        return f"{day + timedelta(days=1)}T06:00:00Z"

    def daily(self, day: date, *more: str) -> None:
        """Run `daily` for a day, on the morning after."""
        self.sandbox.set_clock(self.morning_after(day))
        self.adelt("run", "daily", "--date", day.isoformat(), *more)

    def truth(self, table: str) -> list[dict]:
        """What a perfect warehouse holds after the story: each day as of the last run that asked for it."""
        if table not in self._truths:
            self._truths[table] = self._truth(table)
        return self._truths[table]

    def _truth(self, table: str) -> list[dict]:
        return truth_after(self.sandbox, table, DAYS, self.morning_after, erf=ERF)

    def check(self, target: str, table: str) -> list[str]:
        """How a table differs from the oracle."""
        return differences(self.rows(target, table), self.truth(table))

    def snapshot(self) -> dict[str, list]:
        """Every row of every raw table and mart, without adelt's own columns."""
        return {
            table: sorted(
                json.dumps(
                    {k: v for k, v in row.items() if k not in ("_run_id", "_loaded_at")},
                    default=str,
                    sort_keys=True,
                )
                for row in self.rows("local", table)
            )
            for table in REPORTS + ENTITIES + MARTS
        }


@pytest.fixture(scope="module")
def story(tmp_path_factory):
    """Archive first, then seven mornings."""
    folder = tmp_path_factory.mktemp("story")
    with (
        adelt_sandbox.running(state_dir=folder / "sandbox", report_seconds=0.1) as sandbox,
        bigquery.running(buckets=sandbox.buckets, state_dir=folder / "bigquery") as emulator,
    ):
        story = Story(folder, sandbox, emulator)
        partners = ",".join(sandbox.request("GET", "/sandbox/health")["partner_ids"])
        window = f"{ERF[0]}/{ERF[-1] + timedelta(days=1)}"
        story.adelt("run", "erf_archive", "--interval", window, "-i", f"partners={partners}")
        for day in DAYS[:-1]:
            story.daily(day)
        sandbox.set_faults(TRANSIENT)  # the last morning is a bad one
        story.daily(DAYS[-1])
        fired = sandbox.request("GET", "/sandbox/faults")["fired"]
        assert {fault["fault"] for fault in fired} >= {"http", "quota_rate", "reset", "failed_report"}
        sandbox.set_faults([])
        yield story


@pytest.mark.timeout(3600)  # the story is told while the first of these waits; slow machines take long
@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("table", REPORTS + ENTITIES)
def test_raw_tables_equal_the_oracle(story, table, target):
    assert story.check(target, table) == []


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("table", MARTS)
def test_marts_equal_the_oracle(story, table, target):
    assert story.check(target, table) == []


@pytest.mark.parametrize("table", REPORTS + ENTITIES + MARTS)
def test_one_warehouse_equals_the_other(story, table):
    """Also what the oracle cannot know: fields that the declaration does not have."""
    ours = [
        {name: value for name, value in row.items() if name not in LOAD} for row in story.rows("local", table)
    ]
    theirs = [
        {name: value for name, value in row.items() if name not in LOAD}
        for row in story.rows("bigquery", table)
    ]
    assert ours
    assert differences(ours, theirs, own=()) == []


def test_the_story_has_what_it_is_about(story):
    with duckdb.connect(str(story.warehouse), read_only=True) as con:
        versions = con.execute(
            "SELECT count(*) FROM marts_ads.dim_line_item WHERE valid_to IS NOT NULL AND valid_from >= '2026-01-29'"
        ).fetchall()[0][0]
        platforms = con.execute(
            "SELECT DISTINCT platform FROM marts_ads.fct_delivery_daily ORDER BY 1"
        ).fetchall()
    assert versions > 0
    assert platforms == [("cm360",), ("dv360",)]


@pytest.mark.timeout(500)
def test_running_again_changes_nothing(story):
    before = story.snapshot()
    only = {"targets": ["local"]}
    story.adelt("run", "daily", "--date", DAYS[-1].isoformat(), **only)  # done already: skipped
    story.adelt("run", "dv360_reports", "--date", DAYS[-1].isoformat(), "--force", **only)
    story.adelt("run", "daily", "--date", DAYS[-1].isoformat(), "--select", "transform", "--force", **only)
    after = story.snapshot()
    assert [table for table in before if before[table] != after[table]] == []


def test_bounds_reach_the_raw_tables(story):
    """The compiled SQL of the last run: literal bounds on the day, which prune partitions."""
    compiled = story.home / "dbt" / "bigquery" / "compiled" / "adelt" / "models"
    mart = (compiled / "marts" / "ads" / "fct_delivery_daily.sql").read_text()
    window = f"date_sub(date '{DAYS[-1] - LOOKBACK}', interval 40 day)"
    assert mart.count(window) == mart.count(f"< date '{DAYS[-1] + timedelta(days=1)}'") == 3
    staging = list((compiled / "staging").rglob("stg_*.sql"))
    ours = [source for source in sources() if source != "orchestra_metadata"]  # that is of the pipeline `ops`
    assert len(staging) == sum(len(catalog(source)) for source in ours)
    for file in staging:
        assert " >= date '1900-01-01'" in file.read_text(), file.name


def test_every_job_of_dbt_says_what_it_is_for(story):
    jobs = [
        request["body"]["configuration"]
        for request in story.emulator.requests()
        if request["path"].endswith("/jobs") and request["method"] == "POST"
    ]
    labels = [job["labels"] for job in jobs if job["labels"].get("node") == "fct_delivery_daily"]
    assert labels
    assert all(one["tool"] == "adelt" and len(one["run"]) == 36 for one in labels)


def test_the_sandbox_found_nothing_wrong_with_itself(story):
    assert story.sandbox.stats()["problems"] == []
