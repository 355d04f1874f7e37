"""Backfills as processes: what is done stays done whatever happens, and what is missing is done when it is resumed."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date, timedelta
from pathlib import Path

import duckdb
import pytest
from oracle import differences, warehouse_rows
from processes import described, living

import adelt_sandbox

ROOT = Path(__file__).parents[2]
DAYS = ["--from", "2026-01-01", "--to", "2026-01-12"]
NOTE = 'echo "{{ interval.start | date }} {{ interval.end | date }}" >> {{ env.NOTES }}/%s\n'


class Home:
    """A project with pipelines that write down what they did."""

    def __init__(self, folder):
        self.folder, self.env = (
            folder,
            {**os.environ, "ADELT_PROJECT": str(folder), "ADELT_HOME": str(folder / "home")},
        )
        self.env.pop("ADELT_WAREHOUSE", None)
        (folder / "pipelines").mkdir()
        self.notes = folder / "notes"
        self.notes.mkdir()

    def write(self, name, tasks):
        text = f"version: 1\nname: {name}\nenv: {{NOTES: {self.notes}}}\ntasks:\n{tasks}"
        (self.folder / "pipelines" / f"{name}.yml").write_text(text)

    def start(self, *arguments, script=False):
        words = [str(ROOT / "run_multiple_pipelines.py")] if script else ["-P", "-m", "adelt", "backfill"]
        return subprocess.Popen(
            [sys.executable, *words, *arguments], cwd=self.folder, env=self.env, text=True,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, start_new_session=True,
        )  # fmt: skip

    def __call__(self, *arguments, code=0, **how):
        process = self.start(*arguments, **how)
        out, err = process.communicate(timeout=200)
        assert process.returncode == code, f"{arguments}: {process.returncode}\n{out}\n{err}"
        return out, err

    def noted(self, name):
        path = self.notes / name
        return Counter(path.read_text().splitlines()) if path.exists() else Counter()

    def status(self):
        return json.loads(self("--status", "last", "--json")[0])

    def wait_for(self, name, lines):
        deadline = time.monotonic() + 60
        while self.noted(name).total() < lines:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def day(number, length=1):
    first = date(2026, 1, 1) + timedelta(days=number)
    return f"{first} {first + timedelta(days=length)}"


@pytest.fixture
def home(tmp_path):
    home = Home(tmp_path)
    home.write("p", f"  a: {{run: {json.dumps('sleep 0.1; ' + NOTE % 'a')}}}\n")
    return home


def test_every_chunk_is_done_once_and_not_again(home):
    _, err = home("p", *DAYS, "--parallel", "3")
    assert home.noted("a") == Counter(day(n) for n in range(12))
    assert "12/12" in err
    assert home.status()["status"] == "SUCCEEDED"
    home("--resume", "last")
    home("p", *DAYS)  # another backfill finds every task done
    assert home.noted("a") == Counter(day(n) for n in range(12))


def test_the_script_is_the_same_command(home):
    home("p", *DAYS, "--chunk", "month", script=True)
    assert home.noted("a") == Counter([day(0, 12)])


def test_the_newest_may_come_first(home):
    home("p", *DAYS, "--order", "newest", "--chunk", "week")
    assert (home.notes / "a").read_text().splitlines() == [day(11, 1), day(4, 7), day(0, 4)]


def test_a_chunk_that_fails_leaves_the_others_alone(home):
    home.write(
        "p",
        f"  a: {{run: {json.dumps(NOTE % 'a' + 'test -e $NOTES/mended -o {{ interval.start | date }} != 2026-01-05')}}}\n",
    )
    _, err = home("p", *DAYS, code=1)
    assert "adelt backfill --resume" in err
    failed = [chunk for chunk in home.status()["chunks"] if chunk["status"] != "SUCCEEDED"]
    assert [(chunk["interval_start"], chunk["status"], chunk["exit_code"]) for chunk in failed] == [
        ("2026-01-05", "FAILED", 1)
    ]
    assert "exit code 1" in failed[0]["message"]
    (home.notes / "mended").touch()
    home("--resume", "last")
    assert home.noted("a") == Counter(day(n) for n in range(12)) + Counter([day(4)])
    assert {chunk["tries"] for chunk in home.status()["chunks"]} == {1, 2}


def test_killed_five_times_it_is_resumed_to_the_end(home):
    seed = random.Random(7)
    process = home.start("p", *DAYS, "--parallel", "2")
    for _ in range(5):
        home.wait_for("a", home.noted("a").total() + 1)
        time.sleep(seed.uniform(0, 0.3))
        process.kill()
        process.wait()
        process = home.start("--resume", "last")
    _, err = process.communicate(timeout=100)
    assert process.returncode == 0, err
    done = home.noted("a")
    assert set(done) == {day(n) for n in range(12)}
    assert done.total() <= 12 + 5 * 2  # at most what was at work when it was killed
    status = home.status()
    assert status["status"] == "SUCCEEDED"
    work = status["work"]
    assert (work["tasks"], work["done_again"]) == (12, 0)
    assert 12 <= work["tries"] <= 12 + 5 * 2
    out, _ = home("--status", "last")
    told = out.splitlines()
    again = f"{work['begun_again'] or 'none'} more than once"
    assert told[1] == f"12 tasks, begun {work['tries']} times: {again}, none after it had succeeded"
    tries = {chunk["number"]: chunk["tries"] for chunk in status["chunks"] if chunk["tries"] > 1}
    assert {int(row[0]): int(row[5]) for row in (line.split("\t") for line in told[3:])} == tries
    assert tries


def test_resumed_at_once_it_waits_for_what_is_still_ending(home):
    """A task that does not listen when its runner is dead has five seconds; until then nobody else may do it."""
    slow = "trap '' TERM; echo x >> {{ env.NOTES }}/begun; test -e {{ env.NOTES }}/hurry || sleep 60; "
    home.write("p", f"  a: {{run: {json.dumps(slow + NOTE % 'a')}}}\n")
    process = home.start("p", *DAYS, "--chunk", "month")
    home.wait_for("begun", 1)
    (home.notes / "hurry").touch()
    os.killpg(process.pid, signal.SIGKILL)
    home("--resume", "last")
    assert home.noted("a") == Counter([day(0, 12)])
    assert home.noted("begun") == {"x": 2}
    assert home.status()["work"] == {"tasks": 1, "tries": 2, "begun_again": 1, "done_again": 0}


def test_killed_it_leaves_nothing_running(home):
    """Not even what a task has started in the background, and does not listen."""
    stubborn = "(trap '' TERM; sleep 60) & echo x >> {{ env.NOTES }}/begun; wait"
    home.write("p", f"  a: {{run: {json.dumps(stubborn)}}}\n")
    process = home.start("p", *DAYS, "--parallel", "2")
    home.wait_for("begun", 2)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    deadline = time.monotonic() + 20
    while left := living(str(home.folder)):
        assert time.monotonic() < deadline, described(left)
        time.sleep(0.05)


def test_stopped_it_says_so_and_goes_on_later(home):
    process = home.start("p", *DAYS)
    home.wait_for("a", 2)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    status = home.status()
    assert status["status"] == "CANCELLED"
    done = home.noted("a").total()
    assert sum(chunk["status"] == "SUCCEEDED" for chunk in status["chunks"]) >= 1
    assert done < 12
    home("--resume", "last")
    assert set(home.noted("a")) == {day(n) for n in range(12)}


def test_a_second_backfill_of_a_pipeline_is_refused_while_the_first_is_at_work(home):
    home.write("q", f"  a: {{run: {json.dumps(NOTE % 'q')}}}\n")
    first = home.start("p", *DAYS)
    home.wait_for("a", 1)
    name = home.status()["id"]
    for arguments in (("q", "p", *DAYS), ("--resume", name)):
        _, err = home(*arguments, code=1)
        assert f"backfill {name} is at work on the same pipelines, process {first.pid}" in err
    home("q", "--from", "2026-01-01", "--to", "2026-01-01")  # another pipeline may
    first.communicate(timeout=100)
    assert home.noted("a") == Counter(day(n) for n in range(12))
    assert home.noted("q") == Counter([day(0)])


def test_one_bad_entry_and_nothing_starts(home):
    (home.folder / "b.yml").write_text(
        "pipelines:\n  - {pipeline: p, from: 2026-01-01, to: 2026-01-02}\n  - {pipeline: pp, from: 2026-01-01, to: 2026-01-02}\n"
    )
    _, err = home("--config", "b.yml", code=2)
    assert "there is no pipeline `pp`" in err
    assert home.noted("a") == Counter()
    _, err = home("--status", "last", code=2)
    assert "there is no backfill `last`" in err


def test_pipelines_that_were_edited_are_not_resumed_blindly(home):
    home.write("p", f"  a: {{run: {json.dumps(NOTE % 'a' + 'exit 1')}}}\n")
    home("p", *DAYS, code=1)
    text = (home.folder / "pipelines" / "p.yml").read_text()
    (home.folder / "pipelines" / "p.yml").write_text(text + "interval: {every: week}\n")
    _, err = home("--resume", "last", code=2)
    assert "the pipelines have changed since" in err


def test_a_dry_run_says_what_is_left_and_what_it_takes(home):
    home("p", "--from", "2026-01-01", "--to", "2026-01-03")
    told = json.loads(home("p", *DAYS, "--dry-run", "--json")[0])
    (one,) = told["estimates"]
    assert (one["chunks"], one["tasks"], one["done"], one["unknown"]) == (12, 12, 3, 0)
    assert 9 * 0.1 <= one["seconds"] <= 9 * 5
    assert len(told["chunks"]) == 12
    assert home.noted("a").total() == 3


def test_a_dry_run_of_what_is_resumed_shows_what_is_missing(home):
    home.write("p", "  a: {run: 'test {{ interval.start | date }} != 2026-01-03'}\n")
    home("p", "--from", "2026-01-01", "--to", "2026-01-05", code=1)
    told = json.loads(home("--resume", "last", "--dry-run", "--json")[0])
    assert [one["from"] for one in told["chunks"]] == ["2026-01-03"]
    assert [one["chunks"] for one in told["estimates"]] == [1]
    assert [row["status"] for row in home.status()["chunks"]].count("FAILED") == 1


PROFILE = """
adelt:
  target: local
  outputs: {local: {type: duckdb, path: "{{ env_var('ADELT_WAREHOUSE') }}"}}
"""


@pytest.fixture
def models(home):
    """A pipeline `d` with models, and a task after them that takes notes."""
    (home.folder / "dbt" / "models").mkdir(parents=True)
    (home.folder / "dbt" / "dbt_project.yml").write_text("name: d\nprofile: adelt\n")
    (home.folder / "dbt" / "profiles.yml").write_text(PROFILE)
    (home.folder / "dbt" / "models" / "one.sql").write_text("select 1 as one")
    load = f"{{run: {json.dumps('echo {{ inputs.who }}; ' + NOTE % 'load')}}}"
    later = f"{{needs: [transform], run: {json.dumps(NOTE % 'later')}}}"
    transform = "{needs: [load], dbt: {command: run}}"
    home.write("d", f"  load: {load}\n  transform: {transform}\n  later: {later}\n")
    file = home.folder / "pipelines" / "d.yml"
    file.write_text(file.read_text() + "inputs: {who: {type: string, default: a}}\n")
    return home


def test_models_at_the_end_are_built_again_if_anything_was_loaded(models):
    days = ("d", "--from", "2026-01-01", "--to", "2026-01-02")
    models(*days)
    assert (models.noted("load").total(), models.noted("later").total()) == (2, 1)
    models(*days)  # nothing was loaded
    assert (models.noted("load").total(), models.noted("later").total()) == (2, 1)
    models(*days, "-i", "who=b")  # what `later` needs is for the same days, but of other rows
    assert (models.noted("load").total(), models.noted("later").total()) == (4, 2)


def test_models_that_were_built_after_the_last_load_are_not_built_again(models):
    days = ("d", "--from", "2026-01-01", "--to", "2026-01-02")
    models(*days)
    file = models.folder / "pipelines" / "d.yml"
    file.write_text(
        file.read_text().replace(
            '{needs: [transform], run: "', '{needs: [transform], run: "test -e {{ env.NOTES }}/go || exit 1; '
        )
    )
    models(*days, "-i", "who=b", code=1)  # the models are built, and what needs them fails
    (models.notes / "go").touch()
    said, _ = models("--resume", "last")
    assert (models.noted("load").total(), models.noted("later").total()) == (4, 2)
    assert "1 more than once, none after it had succeeded" in said


def test_force_does_again_what_is_done(models):
    days = ("d", "--from", "2026-01-01", "--to", "2026-01-02")
    models(*days)
    (one,) = json.loads(models(*days, "--force", "--dry-run", "--json")[0])["estimates"]
    assert (one["tasks"], one["done"]) == (4, 0)
    models(*days, "--force")
    assert (models.noted("load").total(), models.noted("later").total()) == (4, 2)
    models("--resume", "last")
    assert models.noted("load").total() == 4


def test_an_estimate_counts_what_pipelines_run_in_others(home):
    home.write("all", "  one: {pipeline: {name: p}}\n  two: {needs: [one], run: echo}\n")
    home("p", "--from", "2026-01-01", "--to", "2026-01-03")
    home("all", "--from", "2026-01-04", "--to", "2026-01-05")
    (one,) = json.loads(home("all", *DAYS, "--dry-run", "--json")[0])["estimates"]
    # A task of `p` and one of `all` for each of twelve days; `p` is done for five, the other for two.
    assert (one["tasks"], one["done"], one["unknown"]) == (24, 7, 0)
    assert one["seconds"] >= 7 * 0.1  # `p` sleeps that long


def test_a_backfill_of_both_platforms_equals_the_oracle(tmp_path):
    """Twelve days by week, with a kill in between; then the same again asks nobody for anything."""
    env = {**os.environ, "ADELT_HOME": str(tmp_path / "home"), "ADELT_WAREHOUSE": str(tmp_path / "w.duckdb")}
    env |= {"ADELT_POLL_MIN": "0.02", "ADELT_POLL_MAX": "0.1"}
    (tmp_path / "all.yml").write_text(
        "parallel: 2\npipelines:\n"
        + "".join(
            f"  - {{pipeline: {name}, from: 2026-01-01, to: 2026-01-12, chunk: week, inputs: {inputs}}}\n"
            for name, inputs in (("dv360_reports", "{}"), ("cm360", "{tables: [campaign]}"))
        )
    )
    command = [sys.executable, "-P", "-m", "adelt", "backfill"]
    with adelt_sandbox.running(report_seconds=0.02) as sandbox:
        now = "2026-02-20T06:00:00Z"
        sandbox.set_clock(now)
        env |= sandbox.env
        first = subprocess.Popen([*command, "--config", str(tmp_path / "all.yml")], cwd=ROOT, env=env)
        while not (tmp_path / "w.duckdb").exists():
            assert first.poll() is None
            time.sleep(0.05)
        time.sleep(1)
        first.kill()
        first.wait()
        subprocess.run([*command, "--resume", "last"], cwd=ROOT, env=env, check=True, timeout=200)
        before = sandbox.stats()["by_api"]
        subprocess.run(
            [*command, "--config", str(tmp_path / "all.yml")], cwd=ROOT, env=env, check=True, timeout=200
        )
        assert sandbox.stats()["by_api"] == {
            **before,
            "sandbox": before["sandbox"] + 1,
        }  # nothing asked for again
        for table in ("raw_dv360.report_standard", "raw_cm360.report_standard"):
            truth = sandbox.truth(table, as_of=now, start="2025-12-25", end="2026-01-13")["rows"]
            assert differences(warehouse_rows(tmp_path / "w.duckdb", table), truth) == []
    with duckdb.connect(str(tmp_path / "w.duckdb"), read_only=True) as con:
        days = con.execute(
            "SELECT DISTINCT _snapshot_date::VARCHAR FROM raw_cm360.campaign ORDER BY 1"
        ).fetchall()
    assert [row[0] for row in days] == [
        "2026-01-04",
        "2026-01-11",
        "2026-01-12",
    ]  # the last day of each chunk
