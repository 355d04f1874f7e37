"""Cloud Storage for real: evidence, replay, exports, sensors, transfers and purges against the sandbox's buckets."""

import gzip
import json
import os
import subprocess
import sys
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest

import adelt_sandbox
from adelt_sources import landing, replay
from adelt_sources.catalog import table_spec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.ingest import Ingest, ingest
from adelt_sources.landing import Landing
from adelt_sources.objects import place
from adelt_sources.replay import Replay
from adelt_sources.run import Patience
from adelt_sources.warehouse import DuckDb

NOW = "2026-01-20T06:00:00Z"
IMPATIENT = Patience(poll_min=0.02, poll_max=0.1, poll_deadline=20, retry_min=0.01, retry_max=0.05)
META = {"_loaded_at"}
DAY = date(2026, 1, 14)
ERF_DAY = date(2024, 10, 30)


@pytest.fixture(scope="module")
def sandbox():
    """One sandbox with a bucket `mine`; its clock stands still."""
    with adelt_sandbox.running(report_seconds=0.02) as running:
        running.set_clock(NOW)
        running.request("POST", "/storage/v1/b?project=p", {"name": "mine"})
        yield running


@pytest.fixture(autouse=True)
def google(sandbox, monkeypatch):
    """Point the stock clients at the sandbox; no faults are left over."""
    for name, value in sandbox.env.items():
        monkeypatch.setenv(name, value)
    sandbox.set_faults([])
    yield
    sandbox.set_faults([])


@pytest.fixture(params=["bucket", "folder"])
def root(request, tmp_path):
    """A folder of the bucket, and the same on this machine."""
    if request.param == "folder":
        return str(tmp_path / "objects")
    return f"gs://mine/{tmp_path.name}"


@pytest.fixture
def bucket(tmp_path):
    """A folder of the bucket that no other test uses."""
    return f"gs://mine/{tmp_path.name}"


class Bring:
    """Ingests and replays one table at a time, into one warehouse."""

    def __init__(self, folder, url, endpoint):
        self.warehouse = DuckDb(folder / "w.duckdb")
        self.work, self.landing, self.endpoint = folder / "work", Landing(url), endpoint

    def __call__(self, source, table, first=DAY, days=1, run_id="run-1", **params):
        end = first + timedelta(days=days)
        job = Ingest(
            source, table, first, end, run_id, self.warehouse, self.work, params, self.endpoint, IMPATIENT,
            self.landing,
        )  # fmt: skip
        return ingest(job)

    def replay(self, source, table, first=DAY, days=1, run_id="", into=None):
        end = first + timedelta(days=days)
        job = Replay(
            source, table, first, end, "again", self.landing, into or self.warehouse, self.work, run_id
        )
        return replay.replay(job)

    def table(self, name, warehouse=None):
        """All rows without the time they were loaded, in an order that does not depend on the load."""
        with duckdb.connect(str((warehouse or self.warehouse).file)) as con:
            names = [f'"{r[0]}"' for r in con.execute(f"DESCRIBE {name}").fetchall() if r[0] not in META]
            return con.execute(f"SELECT {', '.join(names)} FROM {name} ORDER BY ALL").fetchall()

    def kept(self, source, table, first=DAY, last=DAY):
        return landing.find(self.landing.place(), table_spec(source, table), first, last)


@pytest.fixture
def bring(root, sandbox, tmp_path):
    return Bring(tmp_path, f"{root}/landing", sandbox.url)


EVERY_SOURCE = [
    ("dv360_reports", "standard", DAY, 3, {}),
    ("cm360_reports", "standard", DAY, 3, {}),
    ("dv360", "line_item", DAY, 1, {}),
    ("dv360", "assigned_targeting_option", DAY, 1, {}),
    ("cm360", "placement", DAY, 1, {}),
    ("dv360_erf", "line_item", ERF_DAY, 2, {"partner_ids": "1001,1002"}),
]


@pytest.mark.parametrize(
    ("source", "table", "first", "days", "params"), EVERY_SOURCE, ids=lambda v: str(v)[:20]
)
def test_evidence_of_every_source_loads_the_same_rows_without_an_api(
    bring, sandbox, tmp_path, source, table, first, days, params
):
    result = bring(source, table, first, days, **params)
    name = f"{result.dataset}.{result.table}"
    (kept,) = bring.kept(source, table, first, first + timedelta(days=days - 1))
    assert (kept.status, kept.rows) == ("loaded", result.rows)
    assert kept.params == params
    assert f"/dt={first}/run-1/" in f"/{kept.path}"
    before = sandbox.stats()["by_api"]
    fresh = DuckDb(tmp_path / "fresh.duckdb")
    (step,) = bring.replay(source, table, first, days, into=fresh)
    asked = {api: n - before.get(api, 0) for api, n in sandbox.stats()["by_api"].items()}
    assert {api for api, count in asked.items() if count} <= {"sandbox", "storage", "token"}
    assert step.rows == result.rows > 0
    assert bring.table(name, fresh) == bring.table(name)


def test_the_newest_evidence_of_a_day_counts_and_other_days_stay(bring, sandbox):
    """Windows of three days that overlap, as a daily run with a look-back has them; the figures move in between."""
    name = "raw_dv360.report_standard"
    try:
        for number, day in enumerate(("2026-01-15", "2026-01-16", "2026-01-17"), 1):
            sandbox.set_clock(f"{day}T06:00:00Z")
            first = date.fromisoformat(day) - timedelta(days=3)
            bring("dv360_reports", "standard", first, 3, run_id=f"run-{number}")
    finally:
        sandbox.set_clock(NOW)
    expected = bring.table(name)
    with duckdb.connect(str(bring.warehouse.file)) as con:
        con.execute(f"UPDATE {name} SET impressions = impressions + 1")
    wrong = bring.table(name)
    steps = bring.replay("dv360_reports", "standard", date(2026, 1, 13), 1)
    assert [(s.kept.run_id, s.first, s.why) for s in steps] == [
        ("run-1", None, "newer evidence covers it"),
        ("run-2", date(2026, 1, 13), ""),
    ]
    day_of = _day_of(bring, name)
    for right, bad, now in zip(
        *(_by_day(rows, day_of) for rows in (expected, wrong, bring.table(name))), strict=True
    ):
        assert now == (right if right[0] == date(2026, 1, 13) else bad)
    bring.replay("dv360_reports", "standard", date(2026, 1, 12), 5)
    assert bring.table(name) == expected
    runs = "SELECT DISTINCT _run_id FROM raw_dv360.report_standard ORDER BY 1"
    with duckdb.connect(str(bring.warehouse.file)) as con:
        assert [row[0] for row in con.execute(runs).fetchall()] == ["run-1", "run-2", "run-3"]


def _day_of(bring, name):
    with duckdb.connect(str(bring.warehouse.file)) as con:
        names = [r[0] for r in con.execute(f"DESCRIBE {name}").fetchall() if r[0] not in META]
    return names.index(table_spec("dv360_reports", "standard").date)


def _by_day(rows, position):
    days = sorted({row[position] for row in rows})
    return [(day, sorted(map(repr, (row for row in rows if row[position] == day)))) for day in days]


def test_evidence_that_was_changed_changes_nothing(bring):
    bring("dv360_reports", "standard")
    before = bring.table("raw_dv360.report_standard")
    (kept,) = bring.kept("dv360_reports", "standard")
    here = bring.landing.place()
    folder = kept.path.rpartition("/")[0]
    name = f"{folder}/{kept.files[0].name}"
    whole = here.read(name)
    text = gzip.decompress(whole)
    for broken in (gzip.compress(text.replace(b"1", b"2", 1)), whole[:-20], b"not gzip at all"):
        here.write(name, broken)
        with pytest.raises(SourceError, match="not what was kept") as caught:
            bring.replay("dv360_reports", "standard")
        assert caught.value.exit_code == 2
        assert name in caught.value.where
        assert bring.table("raw_dv360.report_standard") == before
    here.delete([name])
    with pytest.raises(InputError, match=r"cannot be used|no such"):
        bring.replay("dv360_reports", "standard")
    here.write(kept.path, b"{}")
    with pytest.raises(SourceError, match="manifest cannot be read"):
        bring.replay("dv360_reports", "standard")
    assert bring.table("raw_dv360.report_standard") == before


def test_a_refused_report_leaves_evidence_that_is_loaded_only_by_name(bring, sandbox):
    bring("dv360_reports", "standard")
    good = bring.table("raw_dv360.report_standard")
    sandbox.set_faults([{"match": {"api": "download"}, "fault": "truncate", "drop_bytes": 3000}])
    with pytest.raises(SourceError, match="cut short"):
        bring("dv360_reports", "standard", run_id="run-2")
    sandbox.set_faults([])
    first, second = bring.kept("dv360_reports", "standard")
    assert (first.status, second.status) == ("loaded", "refused")
    assert "cut short" in second.message
    steps = bring.replay("dv360_reports", "standard")
    assert [step.rows is None for step in steps] == [False, True]
    assert bring.table("raw_dv360.report_standard") == good
    with pytest.raises(SourceError, match="cut short"):
        bring.replay("dv360_reports", "standard", run_id="run-2")
    assert bring.table("raw_dv360.report_standard") == good


def test_a_day_without_evidence_is_told(bring):
    with pytest.raises(InputError, match="no evidence") as caught:
        bring.replay("dv360_reports", "standard", date(2025, 6, 1))
    assert "2025-06-01" in caught.value.where


def test_a_bucket_that_is_not_there_stops_an_ingest_before_it_loads(sandbox, tmp_path):
    bring = Bring(tmp_path, "gs://nobodys-bucket/landing", sandbox.url)
    with pytest.raises(InputError, match="no such bucket") as caught:
        bring("dv360_reports", "standard")
    assert "gs://nobodys-bucket/landing" in caught.value.where
    with duckdb.connect(str(bring.warehouse.file)) as con:
        tables = con.execute("SELECT table_name FROM information_schema.tables").fetchall()
    assert ("report_standard",) not in tables


def adelt(folder, *arguments, code=0, **env):
    """The command line in a project folder."""
    done = subprocess.run(
        [sys.executable, "-P", "-m", "adelt", *arguments],
        cwd=folder,
        env={
            **{k: v for k, v in os.environ.items() if k != "ADELT_WAREHOUSE"},
            "ADELT_PROJECT": str(folder),
            "ADELT_HOME": str(folder / "home"),
            "ADELT_POLL_MIN": "0.05",
            **env,
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def test_the_command_keeps_lists_and_replays(tmp_path, bucket):
    days = ("--from", "2026-01-14", "--to", "2026-01-15")
    assert "not kept here" in adelt(tmp_path, "replay", "dv360_reports", "standard", *days, code=2)
    env = {"ADELT_LANDING": f"{bucket}/landing"}
    adelt(tmp_path, "ingest", "dv360_reports", "standard", *days, **env)
    listed = json.loads(
        adelt(tmp_path, "replay", "dv360_reports", "standard", *days, "--dry-run", "--json", **env)
    )
    assert [(one["status"], one["rows"]) for one in listed] == [("loaded", None)]
    (tmp_path / "home" / "warehouse.duckdb").unlink()
    told = adelt(tmp_path, "replay", "dv360_reports", "standard", *days, **env)
    assert "2026-01-14 .. 2026-01-15" in told
    with duckdb.connect(str(tmp_path / "home" / "warehouse.duckdb")) as con:
        (count,) = con.execute("SELECT count(*) FROM raw_dv360.report_standard").fetchone()
    assert f"{count:,} rows of 1 run" in told
    assert not list(Path(tmp_path / "home" / "work").iterdir())


def test_a_place_writes_whole_files_and_lists_them(root):
    here = place(root)
    assert here.list() == []
    assert here.find("a/b.txt") is None
    stored = here.write("a/b.txt", b"hello")
    assert (stored.name, stored.size) == ("a/b.txt", 5)
    here.write("a.txt", b"x")
    here.write("ab/c.txt", b"xy")
    assert [one.name for one in here.list()] == ["a.txt", "a/b.txt", "ab/c.txt"]
    assert [one.name for one in here.list("a/")] == ["a/b.txt"]
    assert [one.name for one in here.list("ab")] == ["ab/c.txt"]
    assert here.find("a/b.txt").crc32c == stored.crc32c == "mnG7TA=="
    here.delete(["a/b.txt", "a/never-there.txt"])
    assert [one.name for one in here.list()] == ["a.txt", "ab/c.txt"]
