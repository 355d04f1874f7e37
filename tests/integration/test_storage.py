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
from adelt_sandbox import bigquery as emulated
from adelt_sources import landing, replay
from adelt_sources.bigquery import connected
from adelt_sources.catalog import table_spec
from adelt_sources.errors import InputError, SourceError
from adelt_sources.ingest import Ingest, ingest
from adelt_sources.landing import Landing
from adelt_sources.objects import place
from adelt_sources.replay import Replay
from adelt_sources.run import Patience
from adelt_sources.warehouse import BigQuery, DuckDb

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


class Project:
    """A folder with pipelines, a small warehouse, and the command line in it."""

    def __init__(self, folder):
        self.folder, self.env = folder, {}
        (folder / "pipelines").mkdir()
        (folder / "home").mkdir()
        with duckdb.connect(str(folder / "home" / "warehouse.duckdb")) as con:
            con.execute("CREATE SCHEMA marts")
            con.execute(
                "CREATE TABLE marts.daily AS SELECT DATE '2026-01-01' + i::INTEGER // 4 AS day, i AS id, "
                "CASE WHEN i % 4 < 3 THEN 'a/b ' || i % 4 END AS name, (i / 8)::DECIMAL(18, 6) AS cost, "
                "[{'k': i, 't': ['x', NULL]}] AS tags FROM range(12) r(i)"
            )

    def pipeline(self, body, name="p"):
        (self.folder / "pipelines" / f"{name}.yml").write_text(f"version: 1\nname: {name}\n{body}", "utf-8")

    def run(self, *arguments, code=0):
        return adelt(self.folder, *arguments, code=code, **self.env)

    def sql(self, statement):
        with duckdb.connect(str(self.folder / "home" / "warehouse.duckdb")) as con:
            return con.execute(statement).fetchall()


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def manifest_of(here):
    return json.loads(here.read("manifest.json"))


def rows_of(here, tmp_path, columns="*"):
    """The rows that a manifest names, read back by DuckDB."""
    found = []
    body = manifest_of(here)
    reader = {"parquet": "read_parquet", "csv": "read_csv", "ndjson": "read_json"}[body["format"]]
    for file in body["files"]:
        stored = here.find(file["name"])
        assert (stored.size, stored.crc32c) == (file["bytes"], file["crc32c"])
        copy = tmp_path / file["name"].replace("/", "_")
        here.get(file["name"], copy, lambda *_: None)
        with duckdb.connect() as con:
            rows = con.execute(f"SELECT {columns} FROM {reader}('{copy}')").fetchall()
        assert file["rows"] in (len(rows), None)
        found += [(*row, *file["partition"].values()) for row in rows]
    assert body["rows"] == len(found)
    return sorted(found, key=repr)


DAY_OF = ["--date", "2026-01-02"]


FORMATS = {
    "parquet": ("", ".parquet"),
    "zstd": ("format: parquet, compression: zstd", ".parquet"),
    "csv": ("format: csv", ".csv"),
    "csv_gzip": ("format: csv, compression: gzip", ".csv.gz"),
    "ndjson": ("format: ndjson", ".ndjson"),
    "ndjson_gzip": ("format: ndjson, compression: gzip", ".ndjson.gz"),
}


def test_a_query_is_exported_in_every_format(project, root):
    query = "SELECT id, day, name, cost FROM marts.daily"
    exports = "".join(
        f"  {name}: {{export: {{sql: '{query}', to: '{root}/{name}/', {options}}}}}\n"
        for name, (options, _) in FORMATS.items()
    )
    project.pipeline(f"tasks:\n{exports}")
    project.run("run", "p", *DAY_OF)
    for name, (_, ending) in FORMATS.items():
        here = place(f"{root}/{name}")
        body = manifest_of(here)
        (file,) = body["files"]
        assert file["name"].endswith(ending)
        assert [one.name for one in here.list()] == sorted(["manifest.json", file["name"]])
        assert body["columns"][3] == {"name": "cost", "type": "DECIMAL(18,6)"}
        columns = "id, day::DATE, nullif(name, ''), cost::DECIMAL(18, 6)"
        assert rows_of(here, project.folder, columns) == sorted(project.sql(query), key=repr)


def test_an_export_can_be_partitioned(project, root):
    cases = [(column, form) for column in ("day", "name", "id") for form in ("parquet", "ndjson")]
    exports = "".join(
        f"  {form}_{column}: {{export: {{table: marts.daily, where: 'id < 8', to: {root}/{form}_{column}, "
        f"partition_by: {column}, format: {form}}}}}\n"
        for column, form in cases
    )
    project.pipeline(f"tasks:\n{exports}")
    project.run("run", "p", *DAY_OF)
    for column, form in cases:
        here = place(f"{root}/{form}_{column}")
        body = manifest_of(here)
        values = project.sql(f"SELECT DISTINCT {column} FROM marts.daily WHERE id < 8")
        assert len(body["files"]) == len(values)
        assert {str(file["partition"][column]) for file in body["files"]} == {str(v) for (v,) in values}
        folders = {file["name"].partition("/")[0] for file in body["files"]}
        if column == "name":
            assert folders == {f"name=a%2Fb%20{n}" for n in range(3)} | {"name=__HIVE_DEFAULT_PARTITION__"}
        other = "id" if column != "id" else "cost::DECIMAL(18, 6)"
        exported = {(row[0], str(row[1])) for row in rows_of(here, project.folder, other)}
        expected = project.sql(f"SELECT {other}, {column} FROM marts.daily WHERE id < 8")
        assert exported == {(one, str(value)) for one, value in expected}


def test_nested_columns_stay_nested_in_parquet(project, bucket):
    project.pipeline(f"tasks:\n  out:\n    export: {{table: marts.daily, to: '{bucket}/out'}}\n")
    project.run("run", "p", *DAY_OF)
    found = rows_of(place(f"{bucket}/out"), project.folder, "id, tags")
    assert found == sorted(project.sql("SELECT id, tags FROM marts.daily"), key=repr)


def test_running_again_replaces_the_files_and_other_intervals_stay(project, root):
    project.pipeline(
        "tasks:\n  out:\n    export:\n      table: marts.daily\n"
        "      where: day = '{{ interval.start | date }}'\n"
        f"      to: {root}/out/dt={{{{ interval.start | date }}}}/\n"
    )
    project.run("run", "p", "--from", "2026-01-01", "--to", "2026-01-02")
    first, second = (place(f"{root}/out/dt=2026-01-0{n}") for n in (1, 2))
    before = [one.name for one in first.list()]
    second_before = [one.name for one in second.list()]
    # What a killed run leaves is of this task, what somebody else put there is not.
    leftover = manifest_of(first)["files"][0]["name"].replace(manifest_of(first)["run_id"], "gone")
    first.write(leftover, b"half a file")
    first.write("notes.txt", b"mine")
    project.sql("DELETE FROM marts.daily WHERE id = 0")
    project.run("run", "p", "--date", "2026-01-01")
    assert len(first.list()) == len(before) + 2  # it is done: nothing ran
    project.run("run", "p", "--date", "2026-01-01", "--force")
    after = [one.name for one in first.list()]
    assert set(before) & set(after) == {"manifest.json"}
    assert sorted(after) == sorted(["manifest.json", "notes.txt", manifest_of(first)["files"][0]["name"]])
    assert manifest_of(first)["rows"] == 3
    assert [one.name for one in second.list()] == second_before
    project.sql("DELETE FROM marts.daily")
    project.run("run", "p", "--date", "2026-01-01", "--force")
    assert manifest_of(first)["rows"] == 0
    assert rows_of(first, project.folder) == []


def test_what_cannot_be_exported_is_told_and_nothing_is_changed(project, bucket):
    to = f"to: {bucket}/out"
    wrong = {
        "nested column `tags`": f"table: marts.daily, format: csv, {to}",
        "no column `dya`": f"table: marts.daily, partition_by: dya, {to}",
        "cannot be partitioned by": f"table: marts.daily, partition_by: cost, {to}",
        "is nested": f"table: marts.daily, partition_by: tags, {to}",
        "the query does not work": f"table: marts.nothing, {to}",
        "no such bucket": "table: marts.daily, to: gs://nobodys-bucket/out",
    }
    exports = "".join(f"  t{n}: {{export: {{{options}}}}}\n" for n, options in enumerate(wrong.values()))
    project.pipeline(f"tasks:\n{exports}")
    told = project.run("run", "p", *DAY_OF, code=2)
    for what in wrong:
        assert what in told
    assert place(f"{bucket}/out").list() == []
    project.pipeline(f"tasks:\n  out:\n    export: {{table: marts.daily, {to}}}\n")
    project.run("run", "p", *DAY_OF)
    before = [one.name for one in place(f"{bucket}/out").list()]
    project.pipeline(f"tasks:\n  other:\n    export: {{table: marts.daily, {to}}}\n")
    assert "holds the export of p.out" in project.run("run", "p", *DAY_OF, code=2)
    assert [one.name for one in place(f"{bucket}/out").list()] == before


def test_a_sensor_waits_for_files_below_a_prefix_and_for_patterns(project, root):
    here = place(f"{root}/in")
    sensors = {
        "some": "file: {root}/dt=1/",
        "two": "file: {root}/dt=1/, min_files: 2",
        "new": "file: {root}/dt=1/, updated_after: 2020-01-01",
        "newer": "file: {root}/dt=1/, updated_after: 2999-01-01",
        "pattern": "file: '{root}/*.csv'",
    }
    tasks = "".join(
        f"  {name}: {{sensor: {{{text.format(root=here.url)}, poll: 1s, timeout: 2s}}}}\n"
        for name, text in sensors.items()
    )
    project.pipeline(f"tasks:\n{tasks}", "p")

    def missed():
        told = project.run("run", "p", *DAY_OF, code=1)
        return {name for name in sensors if f"p.{name}: failed" in told and "did not come within" in told}

    here.write("dt=10/a.csv", b"another prefix")
    here.write("a.txt", b"another ending")
    assert missed() == set(sensors)
    here.write("dt=1/a.csv", b"a")
    assert missed() == {"two", "newer", "pattern"}
    here.write("dt=1/deep/b.csv", b"b")
    here.write("a.csv", b"yes")
    assert missed() == {"newer"}


def test_a_purge_deletes_what_is_old_by_its_folder_or_its_time(project, root):
    here = place(f"{root}/files")
    old = ["a/dt=2025-10-01/run/x.csv", "dt=2025-10-02/manifest.json"]
    new = ["a/dt=2025-10-05/run/x.csv", "dt=2026-01-01/y", "written-today.txt", "a/dt=nonsense/y"]
    for name in old + new:
        here.write(name, name.encode())
    project.pipeline(
        "inputs: {dry: {type: boolean, default: false}}\ntasks:\n"
        f"  clean:\n    purge: {{path: {root}/files, older_than: 90d, dry_run: '{{{{ inputs.dry }}}}'}}\n"
    )
    assert "older than 2025-10-05" in project.run("plan", "p", *DAY_OF)
    project.run("run", "p", *DAY_OF, "-i", "dry=true")
    assert [one.name for one in here.list()] == sorted(old + new)
    project.run("run", "p", *DAY_OF)
    assert [one.name for one in here.list()] == sorted(new)
    log = "".join(path.read_text() for path in (project.folder / "home" / "logs").rglob("*.log"))
    for name in old:
        assert f"would delete {here.url}/{name}" in log
        assert f"\ndeleted {here.url}/{name}" in log
    # For an interval far ahead everything is old; nothing outside the folder is touched.
    place(root).write("filesystem.txt", b"beside it")
    project.run("run", "p", "--date", "2999-01-01")
    assert [one.name for one in place(root).list()] == ["filesystem.txt"]


def test_the_landing_place_is_purged_by_its_own_setting(project, root):
    project.pipeline("tasks:\n  clean:\n    purge: {landing: true}\n")
    assert "nothing to delete" in project.run("run", "p", *DAY_OF)
    project.env = {"ADELT_LANDING": f"{root}/landing", "ADELT_LANDING_DAYS": "10"}
    here = place(f"{root}/landing")
    here.write("s/t/dt=2025-12-23/run/f.gz", b"old")
    here.write("s/t/dt=2025-12-24/run/f.gz", b"new")
    project.run("run", "p", *DAY_OF, "--force")
    assert [one.name for one in here.list()] == ["s/t/dt=2025-12-24/run/f.gz"]


def test_whole_buckets_and_projects_are_not_purged(project):
    paths = [".", "..", "/", "{{ inputs.nothing }}gs://mine"]
    purges = "".join(
        f"  t{n}: {{purge: {{path: '{path}', older_than: 1d}}}}\n" for n, path in enumerate(paths)
    )
    project.pipeline(f"inputs: {{nothing: {{type: string, default: ''}}}}\ntasks:\n{purges}")
    told = project.run("run", "p", "--date", "2999-01-01", code=2)
    assert told.count("holds the whole project") >= 3
    assert "is a whole bucket" in told
    assert (project.folder / "pipelines").exists()


BIG = os.urandom(40_000_000)


@pytest.mark.parametrize("way", ["up", "down", "across", "here"])
def test_a_big_file_is_copied_over_a_bad_line(project, bucket, sandbox, way):
    source = {"up": "big.bin", "here": "big.bin"}.get(way, f"{bucket}/in/big.bin")
    target = {"down": "got/big.bin", "here": "got/big.bin"}.get(way, f"{bucket}/out/big.bin")
    (project.folder / "big.bin").write_bytes(BIG)
    if source != "big.bin":
        place(f"{bucket}/in").put(project.folder / "big.bin", "big.bin")
    project.pipeline(f"tasks:\n  copy:\n    transfer: {{from: '{source}', to: '{target}'}}\n")
    sandbox.set_faults(
        [
            {"match": {"api": "storage", "path": "/download/"}, "nth": [1, 3], "fault": "reset", "after_bytes": 5_000_000},
            {"match": {"api": "storage", "path": "/download/"}, "nth": 5, "fault": "truncate", "keep_bytes": 99},
            {"match": {"api": "storage", "method": "PUT"}, "nth": [1, 3], "fault": "reset", "after_bytes": 10},
            {"match": {"api": "storage"}, "nth": 2, "fault": "http", "status": 503},
        ]
    )  # fmt: skip
    project.run("run", "p", *DAY_OF)
    fired = sandbox.request("GET", "/sandbox/faults")["fired"]
    assert len(fired) >= {"up": 2, "down": 3, "across": 1, "here": 0}[way]
    sandbox.set_faults([])
    above, name = target.rsplit("/", 1)
    here = place(above if "://" in above else project.folder / above)
    here.get(name, project.folder / "check.bin", lambda *_: None)
    assert (project.folder / "check.bin").read_bytes() == BIG
    before = sandbox.stats()["bytes"]
    assert "was there already" in project.run("run", "p", *DAY_OF, "--force")
    assert sandbox.stats()["bytes"] - before < 1_000_000


def test_a_transfer_goes_on_where_it_was_cut_off(tmp_path, bucket, sandbox, monkeypatch):
    from adelt_sources import bucket as buckets
    from adelt_sources.transfer import transfer

    (tmp_path / "big.bin").write_bytes(BIG)
    here = place(f"{bucket}/in")
    here.put(tmp_path / "big.bin", "big.bin")
    monkeypatch.setattr(buckets, "RETRY", buckets.RETRY.with_timeout(0.1))
    arguments = (here, "big.bin", place(tmp_path / "out"), "big.bin", tmp_path / "work", lambda *_: None)
    sandbox.set_faults(
        [{"match": {"api": "storage", "path": "/download/"}, "nth": list(range(3, 50)), "fault": "http"}]
    )
    with pytest.raises(SourceError, match="did not answer"):
        transfer(*arguments)
    sandbox.set_faults([])
    before = sandbox.stats()["bytes"]
    assert not transfer(*arguments).was_there
    assert sandbox.stats()["bytes"] - before < 10_000_000  # two of three ranges had come
    assert (tmp_path / "out" / "big.bin").read_bytes() == BIG
    assert list((tmp_path / "work").iterdir()) == []


def test_a_transfer_whose_bytes_are_wrong_is_refused(tmp_path, bucket, sandbox):
    from adelt_sources.transfer import transfer

    here = place(f"{bucket}/in")
    here.write("a.bin", b"original")
    (sandbox.buckets / "mine" / f"{bucket.removeprefix('gs://mine/')}" / "in" / "a.bin").write_bytes(
        b"0riginal"
    )
    target = place(tmp_path / "out")
    target.write("a.bin", b"former")
    with pytest.raises(SourceError, match="differs from the original"):
        transfer(here, "a.bin", target, "a.bin", tmp_path / "work", lambda *_: None)
    assert target.read("a.bin") == b"former"
    with pytest.raises(InputError, match="no such file"):
        transfer(here, "b.bin", target, "b.bin", tmp_path / "work", lambda *_: None)


@pytest.fixture(scope="module")
def emulator(sandbox):
    """A BigQuery whose Cloud Storage is the sandbox, with a table `marts.daily`."""
    with emulated.running(buckets=sandbox.buckets) as running, pytest.MonkeyPatch.context() as patch:
        for name, value in {**sandbox.env, **running.env}.items():
            patch.setenv(name, value)
        with connected(BigQuery(running.project)) as connection:
            connection.ensure_dataset("t_marts")
            connection.run(
                "CREATE TABLE t_marts.daily AS SELECT DATE_ADD(DATE '2026-01-01', INTERVAL DIV(i, 4) DAY) AS day, i AS id, "
                "IF(MOD(i, 4) < 3, CONCAT('a/b ', CAST(MOD(i, 4) AS STRING)), NULL) AS name, [STRUCT(i AS k)] AS tags "
                "FROM UNNEST(GENERATE_ARRAY(0, 11)) AS i",
                "make-daily",
            )
        yield running


def test_bigquery_exports_by_its_own_jobs(project, bucket, emulator):
    project.env = {**emulator.env, "ADELT_TARGET": "bigquery", "ADELT_DATASET_PREFIX": "t_"}
    flat = "SELECT id, day, name FROM t_marts.daily"
    project.pipeline(
        "tasks:\n"
        f"  nested: {{export: {{table: marts.daily, to: {bucket}/nested}}}}\n"
        f"  days: {{export: {{table: marts.daily, to: {bucket}/days, where: id < 8, partition_by: day}}}}\n"
        f"  names: {{export: {{sql: '{flat}', to: {bucket}/names, partition_by: name, format: ndjson}}}}\n"
        f"  csv: {{export: {{sql: '{flat}', to: {bucket}/csv, format: csv, compression: gzip}}}}\n"
    )
    project.run("run", "p", *DAY_OF)
    expected = [(i, date(2026, 1, 1 + i // 4), f"a/b {i % 4}" if i % 4 < 3 else None) for i in range(12)]
    rows = rows_of(place(f"{bucket}/nested"), project.folder, "id, day, name, tags[1].k")
    assert rows == sorted([(*row, row[0]) for row in expected], key=repr)
    body = manifest_of(place(f"{bucket}/nested"))
    assert body["columns"][3] == {"name": "tags", "type": "ARRAY<STRUCT<k INTEGER>>"}
    rows = rows_of(place(f"{bucket}/days"), project.folder, "id")
    assert rows == sorted([(i, str(day)) for i, day, _ in expected if i < 8], key=repr)
    rows = rows_of(place(f"{bucket}/names"), project.folder, "id")
    assert rows == sorted([(i, name) for i, _, name in expected], key=repr)
    rows = rows_of(place(f"{bucket}/csv"), project.folder, "id, day, nullif(name, '')")
    assert rows == sorted(expected, key=repr)
    before = {one.name for one in place(f"{bucket}/days").list()}
    project.run("run", "p", *DAY_OF, "--force")
    after = {one.name for one in place(f"{bucket}/days").list()}
    assert before & after == {"manifest.json"}
    assert len(before) == len(after) == 3
    with connected(BigQuery(emulator.project)) as connection:
        assert [name for dataset, name in connection.tables() if name.startswith("export_")] == []


def test_what_bigquery_cannot_export_is_told(project, bucket, emulator):
    project.env = {**emulator.env, "ADELT_TARGET": "bigquery", "ADELT_DATASET_PREFIX": "t_"}
    wrong = {
        "to Cloud Storage only": "table: marts.daily, to: out",
        "nested column `tags`": f"table: marts.daily, to: {bucket}/out, format: csv",
        "no column `dya`": f"table: marts.daily, to: {bucket}/out, partition_by: dya",
    }
    exports = "".join(f"  t{n}: {{export: {{{options}}}}}\n" for n, options in enumerate(wrong.values()))
    project.pipeline(f"tasks:\n{exports}  none: {{export: {{table: marts.nothing, to: {bucket}/out}}}}\n")
    told = project.run("run", "p", *DAY_OF, code=2)
    for what in [*wrong, "marts.nothing"]:
        assert what in told
    assert place(f"{bucket}/out").list() == []


def test_bigquery_keeps_evidence_in_its_bucket_and_loads_it_again(tmp_path, sandbox, emulator):
    env = {**emulator.env, "ADELT_TARGET": "bigquery", "ADELT_DATASET_PREFIX": "r_", "ADELT_BUCKET": "mine"}
    days = ("dv360_reports", "standard", "--from", "2026-01-14", "--to", "2026-01-15")
    adelt(tmp_path, "ingest", *days, **env)
    kept = place("gs://mine/landing").list("dv360_reports/standard/dt=2026-01-14/")
    assert [one.name.rpartition(".")[2] for one in kept] in (["gz", "json"], ["json", "gz"])
    query = (
        "SELECT date, COUNT(*), SUM(impressions), MIN(_run_id) FROM r_raw_dv360.report_standard GROUP BY 1"
    )
    with connected(BigQuery(emulator.project)) as connection:
        before = sorted(connection.ask(query)[1])
        connection.run("UPDATE r_raw_dv360.report_standard SET impressions = 0 WHERE TRUE", "spoil")
        adelt(tmp_path, "replay", *days, **env)
        assert sorted(connection.ask(query)[1]) == before
    assert len(before) == 2
