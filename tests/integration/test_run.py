"""Real runs with real processes: retries, timeouts, stops, kills, limits, and what a rerun does."""

import contextlib
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from pathlib import Path

import pytest

ADELT = [sys.executable, "-P", "-m", "adelt"]
DAY = ["--date", "2026-01-05"]


class Project:
    """A folder with pipelines, and the command line in it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pipelines").mkdir()
        self.env = {
            **os.environ,
            "ADELT_PROJECT": str(folder),
            "ADELT_HOME": str(folder / "home"),
            "ADELT_SECRET_KEY": "open-sesame",
        }
        self.env.pop("ADELT_WAREHOUSE", None)

    def pipeline(self, body: str, name: str = "p") -> None:
        (self.folder / "pipelines" / f"{name}.yml").write_text(f"version: 1\nname: {name}\n{body}", "utf-8")

    def start(self, *arguments: str) -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [*ADELT, *arguments],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str, code: int = 0) -> "subprocess.CompletedProcess[str]":
        done = subprocess.run(
            [*ADELT, *arguments],
            cwd=self.folder,
            env=self.env,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == code, f"{arguments}: {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def tasks(self, run: int = -1) -> dict[str, list[str]]:
        """Status of every try of every task of a run."""
        with contextlib.closing(sqlite3.connect(self.folder / "home" / "ledger.sqlite")) as con:
            runs = [row[0] for row in con.execute("SELECT id FROM pipeline_run ORDER BY created_at, id")]
            found: dict[str, list[str]] = {}
            for instance, status in con.execute(
                "SELECT instance, status FROM task_run WHERE run_id = ? ORDER BY id", (runs[run],)
            ):
                found.setdefault(instance, []).append(status)
            return found

    def run_statuses(self) -> list[str]:
        with contextlib.closing(sqlite3.connect(self.folder / "home" / "ledger.sqlite")) as con:
            return [row[0] for row in con.execute("SELECT status FROM pipeline_run ORDER BY created_at, id")]

    def lines(self, name: str) -> list[str]:
        path = self.folder / name
        return path.read_text().splitlines() if path.exists() else []

    def wait_for(self, name: str, count: int = 1) -> None:
        deadline = time.monotonic() + 20
        while len(self.lines(name)) < count:
            assert time.monotonic() < deadline, f"{name} did not come"
            time.sleep(0.02)


@pytest.fixture
def project(tmp_path):
    return Project(tmp_path)


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def gone(pid: int) -> bool:
    """Whether a process is gone, or goes within seconds."""
    deadline = time.monotonic() + 8
    while alive(pid) and time.monotonic() < deadline:
        time.sleep(0.05)
    return not alive(pid)


def test_a_second_run_does_nothing_and_force_does_it_again(project):
    project.pipeline("tasks:\n  a: {run: echo x >> log}\n  b: {needs: [a], run: echo y >> log}\n")
    project.run("run", "p", *DAY)
    project.run("run", "p", *DAY)
    assert project.lines("log") == ["x", "y"]
    assert project.tasks() == {"a": ["SKIPPED"], "b": ["SKIPPED"]}
    project.run("run", "p", *DAY, "--force")
    assert project.lines("log") == ["x", "y", "x", "y"]


def test_if_changed_runs_what_was_edited_and_what_needs_it(project):
    text = "tasks:\n  a: {run: echo x >> log}\n  b: {needs: [a], run: echo y >> log}\n  c: {run: echo z >> other}\n"
    project.pipeline(text)
    project.run("run", "p", *DAY)
    project.pipeline(text.replace("echo x", "echo X"))
    project.run("run", "p", *DAY)
    assert project.lines("log") == ["x", "y"]
    project.run("run", "p", *DAY, "--if-changed")
    assert project.lines("log") == ["x", "y", "X", "y"]
    assert project.lines("other") == ["z"]


def test_a_rerun_repeats_only_what_failed_and_what_it_blocked(project):
    project.pipeline(
        "tasks:\n  a: {run: echo a >> log}\n  b: {needs: [a], run: 'echo b >> log; test -e ok'}\n"
        "  c: {needs: [b], run: echo c >> log}\n"
    )
    project.run("run", "p", *DAY, code=1)
    assert project.tasks() == {"a": ["SUCCEEDED"], "b": ["FAILED"], "c": ["SKIPPED"]}
    (project.folder / "ok").touch()
    project.run("run", "p", *DAY)
    assert project.lines("log") == ["a", "b", "b", "c"]


def test_what_may_pass_is_tried_again_and_what_cannot_is_not(project):
    project.pipeline(
        "defaults: {retries: {max: 2, delay: 0s}}\n"
        "tasks:\n"
        "  third: {run: 'echo x >> third; test $(wc -l < third) = 3'}\n"
        "  never: {run: 'echo x >> never; exit 1', allow_failure: true}\n"
        "  input: {run: 'echo x >> input; exit 2', allow_failure: true}\n"
        "  config: {run: 'echo x >> config; exit 78', allow_failure: true}\n"
        "  busy: {run: 'echo x >> busy; exit 75', allow_failure: true}\n"
    )
    project.run("run", "p", *DAY)
    assert {name: len(project.lines(name)) for name in ("third", "never", "input", "config", "busy")} == {
        "third": 3,
        "never": 3,
        "input": 1,
        "config": 1,
        "busy": 3,
    }


@pytest.mark.parametrize(("exit_code", "expected"), [(1, 1), (2, 2), (3, 1), (78, 2)])
def test_the_exit_code_says_whether_trying_again_helps(project, exit_code, expected):
    project.pipeline(f"tasks:\n  a: {{run: exit {exit_code}}}\n")
    project.run("run", "p", *DAY, code=expected)


def test_always_failure_and_allowed_failures(project):
    project.pipeline(
        "tasks:\n"
        "  bad: {run: exit 1}\n"
        "  after: {needs: [bad], run: echo x >> after}\n"
        "  cleanup: {needs: [after], if: always, run: echo x >> cleanup}\n"
        "  alarm: {needs: [after], if: failure, run: echo x >> alarm}\n"
        "  meh: {run: exit 1, allow_failure: true}\n"
        "  next: {needs: [meh], run: echo x >> next}\n"
        "  calm: {needs: [next], if: failure, run: echo x >> calm}\n"
    )
    project.run("run", "p", *DAY, code=1)
    assert [name for name in ("after", "cleanup", "alarm", "next", "calm") if project.lines(name)] == [
        "cleanup",
        "alarm",
        "next",
    ]
    assert project.tasks()["meh"] == ["WARNING"]


def test_a_timeout_ends_the_task_and_what_it_has_started(project):
    project.pipeline(
        "tasks:\n  slow: {run: 'sleep 60 & echo $! > child; sleep 61 & echo $! >> child; wait', timeout: 3s}\n"
    )
    begun = time.monotonic()
    done = project.run("run", "p", *DAY, code=1)
    assert time.monotonic() - begun < 15
    assert "took longer than 3 s" in done.stderr
    assert all(gone(int(pid)) for pid in project.lines("child"))


def test_a_program_that_ignores_sigterm_is_killed(project):
    project.pipeline(
        "tasks:\n  stubborn:\n    timeout: 3s\n    run: [python, -c, 'import signal, time, os, pathlib;"
        ' signal.signal(signal.SIGTERM, signal.SIG_IGN); pathlib.Path("pid").write_text(str(os.getpid())); time.sleep(60)\']\n'
    )
    project.run("run", "p", *DAY, code=1)
    assert gone(int(project.lines("pid")[0]))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_stop_leaves_nothing_behind_and_a_rerun_finishes(project, number):
    project.pipeline(
        "tasks:\n"
        "  a: {run: echo a >> log}\n"
        "  b: {needs: [a], run: 'echo $$ >> pid; test -e ok || sleep 60; echo b >> log'}\n"
        "  c: {needs: [b], run: echo c >> log}\n"
    )
    runner = project.start("run", "p", *DAY)
    project.wait_for("pid")
    runner.send_signal(number)
    runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert gone(int(project.lines("pid")[0]))
    assert project.tasks() == {"a": ["SUCCEEDED"], "b": ["CANCELLED"], "c": ["CANCELLED"]}
    assert project.run_statuses() == ["CANCELLED"]
    (project.folder / "ok").touch()
    project.run("run", "p", *DAY)
    assert project.lines("log") == ["a", "b", "c"]


def test_a_killed_runner_takes_its_tasks_with_it_and_a_rerun_finishes(project):
    project.pipeline("tasks:\n  a: {run: 'echo $$ >> pid; test -e ok || sleep 60; echo a >> log'}\n")
    runner = project.start("run", "p", *DAY)
    project.wait_for("pid")
    runner.kill()
    runner.wait()
    assert gone(int(project.lines("pid")[0]))
    (project.folder / "ok").touch()
    project.run("run", "p", *DAY)
    assert project.lines("log") == ["a"]
    assert project.run_statuses() == ["FAILED", "SUCCEEDED"]


def test_kill_at_any_moment_then_resume_does_everything_once(project):
    project.pipeline(
        "concurrency: {tasks: 2}\n"
        "tasks:\n"
        "  one: {matrix: {n: [1, 2, 3]}, run: 'sleep 0.1; echo one{{ matrix.n }} > one{{ matrix.n }}.done'}\n"
        "  two: {needs: [one], matrix: {n: [1, 2]}, run: 'cat one1.done one2.done one3.done &&"
        " echo x > two{{ matrix.n }}.done'}\n"
        "  three: {needs: [two], run: 'cat two1.done two2.done && echo x > three.done'}\n"
    )
    chance = random.Random(7)
    for _ in range(5):
        runner = project.start("run", "p", *DAY)
        time.sleep(chance.uniform(0.2, 2.5))
        runner.kill()
        runner.communicate()
    project.run("run", "p", *DAY)
    done = sorted(path.stem for path in project.folder.glob("*.done"))
    assert done == ["one1", "one2", "one3", "three", "two1", "two2"]
    with contextlib.closing(sqlite3.connect(project.folder / "home" / "ledger.sqlite")) as con:
        repeated = con.execute(
            "SELECT instance FROM task_run WHERE status = 'SUCCEEDED' AND task = 'one' GROUP BY 1 HAVING count(*) > 1"
        ).fetchall()
        assert con.execute("SELECT count(*) FROM task_run WHERE status = 'RUNNING'").fetchone() == (0,)
    assert repeated == []


def test_a_killed_task_process_fails_and_is_tried_again(project):
    project.pipeline(
        "tasks:\n  a: {run: 'echo x >> tries; test $(wc -l < tries) = 2 || kill -9 $PPID; echo a >> log',"
        " retries: {max: 1, delay: 0s}}\n"
    )
    project.run("run", "p", *DAY)
    assert project.tasks() == {"a": ["FAILED", "SUCCEEDED"]}


def overlap(lines: list[str]) -> int:
    """Most tasks at a time, from lines `+` and `-`."""
    most = now = 0
    for line in lines:
        now += 1 if line == "+" else -1
        most = max(most, now)
    return most


SPAN = "echo + >> span; sleep 0.3; echo - >> span"


def test_no_more_tasks_at_a_time_than_allowed(project):
    project.pipeline(
        f"concurrency: {{tasks: 3}}\ntasks:\n  m: {{matrix: {{n: [1, 2, 3, 4, 5, 6]}}, concurrency: 2, run: '{SPAN}'}}\n"
    )
    project.run("run", "p", *DAY)
    assert len(project.lines("span")) == 12
    assert overlap(project.lines("span")) <= 2


def test_pipelines_of_a_group_share_its_places(project):
    for name in ("p", "q"):
        project.pipeline(
            f"concurrency: {{tasks: 1, group: api}}\ntasks:\n  m: {{matrix: {{n: [1, 2]}}, run: '{SPAN}'}}\n",
            name,
        )
    runners = [project.start("run", name, *DAY) for name in ("p", "q")]
    assert [runner.wait(timeout=40) for runner in runners] == [0, 0]
    for runner in runners:
        runner.communicate()
    assert len(project.lines("span")) == 8
    assert overlap(project.lines("span")) == 1


def test_tasks_that_engines_start_share_the_places_of_a_group_too(project):
    group = "concurrency: {tasks: 1, group: api}\n"
    project.pipeline(f"{group}tasks:\n  a: {{run: 'echo x >> started; sleep 60'}}\n", "long")
    project.pipeline(f"{group}tasks:\n  a: {{run: 'echo x >> waited'}}\n")
    interval = ["--interval", "2026-01-05/2026-01-06"]
    first = project.start("task", "long.a", *interval)
    project.wait_for("started")
    second = project.start("task", "p.a", *interval)
    assert "all 1 places of group `api` are taken" in second.stdout.readline()
    assert not (project.folder / "waited").exists()
    first.send_signal(signal.SIGTERM)
    assert (first.wait(timeout=20), second.wait(timeout=20)) == (143, 0)
    assert project.lines("waited") == ["x"]


def test_a_task_that_waits_for_a_place_can_be_stopped(project):
    project.pipeline(
        "concurrency: {tasks: 1, group: api}\ntasks:\n  a: {run: 'echo x >> started; sleep 60'}\n"
    )
    first = project.start("task", "p.a", "--interval", "2026-01-05/2026-01-06")
    project.wait_for("started")
    second = project.start("task", "p.a", "--interval", "2026-01-06/2026-01-07")
    assert "are taken" in second.stdout.readline()
    second.send_signal(signal.SIGTERM)
    assert second.wait(timeout=20) == 143
    assert first.poll() is None
    first.send_signal(signal.SIGTERM)
    first.wait(timeout=20)


def test_a_pipeline_may_run_another_of_its_group(project):
    group = "concurrency: {tasks: 1, group: api}\n"
    project.pipeline(f"{group}tasks:\n  a: {{run: 'echo x >> done'}}\n", "inner")
    project.pipeline(f"{group}tasks:\n  b: {{pipeline: {{name: inner}}}}\n  c: {{run: 'echo y >> done'}}\n")
    project.run("run", "p", *DAY)
    assert sorted(project.lines("done")) == ["x", "y"]


@pytest.mark.parametrize("forced", [("inner",), ("p", "--select", "load")])
@pytest.mark.parametrize("asked", [(), ("--select", "then")])
def test_what_another_run_has_done_since_makes_what_is_built_on_it_old(project, forced, asked):
    project.pipeline("tasks:\n  load: {run: 'true'}\n", "inner")
    project.pipeline(
        "tasks:\n"
        "  inner: {pipeline: {name: inner}}\n"
        "  load: {run: 'true'}\n"
        "  then: {needs: [inner, load], run: 'echo x >> built'}\n"
    )
    (project.folder / "home").mkdir(exist_ok=True)
    (project.folder / "home/warehouse.duckdb").touch()  # or what pipelines have done would be gone with it
    project.run("run", "p", *DAY)
    project.run("run", "p", "--date", "2026-01-06")
    assert len(project.lines("built")) == 2
    project.run("run", *forced, "--force", *DAY)
    states = {
        task["id"]: task["state"]
        for task in json.loads(project.run("plan", "p", *DAY, "--json").stdout)[0]["tasks"]
    }
    assert states == {"inner": "done", "load": "done", "then": "run"}
    project.run("run", "p", *asked, *DAY)
    assert len(project.lines("built")) == 3
    project.run("run", "p", *asked, *DAY)
    project.run("run", "p", "--date", "2026-01-06")
    assert len(project.lines("built")) == 3


def test_the_same_run_twice_at_once_happens_once(project):
    project.pipeline(f"tasks:\n  m: {{matrix: {{n: [1, 2]}}, run: '{SPAN}'}}\n")
    runners = [project.start("run", "p", *DAY) for _ in range(3)]
    for runner in runners:
        _, err = runner.communicate(timeout=40)
        assert runner.returncode == 0, err
    assert len(project.lines("span")) == 4


@pytest.mark.parametrize(("on_limit", "code", "status"), [("skip", 0, "skipped"), ("fail", 1, "failed")])
def test_a_run_too_many_is_skipped_or_fails_and_says_who_is_in_the_way(project, on_limit, code, status):
    project.pipeline(
        f"concurrency: {{on_limit: {on_limit}}}\ntasks:\n  a: {{run: 'echo x >> started; sleep 60'}}\n"
    )
    runner = project.start("run", "p", *DAY)
    project.wait_for("started")
    done = project.run("run", "p", "--date", "2026-01-06", code=code)
    assert f"p: {status}" in done.stderr
    assert f"process {runner.pid}" in done.stderr
    runner.send_signal(signal.SIGTERM)
    runner.communicate(timeout=20)


def test_the_same_task_twice_at_once_is_refused(project):
    project.pipeline("tasks:\n  a: {run: 'echo x >> started; sleep 60'}\n")
    interval = ["--interval", "2026-01-05/2026-01-06"]
    first = project.start("task", "p.a", *interval)
    project.wait_for("started")
    assert "is doing it now" in project.run("task", "p.a", *interval, code=75).stdout
    first.send_signal(signal.SIGTERM)
    first.communicate(timeout=20)
    assert project.tasks(0) == {"a": ["CANCELLED"]}


def test_a_task_whose_process_could_not_begin_is_in_the_history_too(project):
    project.pipeline(
        "tasks:\n"
        "  breaks: {run: 'echo \"oops: [\" >> pipelines/p.yml'}\n"
        "  then: {needs: [breaks], run: 'true', retries: {max: 1, delay: 0s}}\n"
    )
    project.run("run", "p", *DAY, code=2)
    assert project.tasks() == {"breaks": ["SUCCEEDED"], "then": ["FAILED"]}
    run = json.loads(project.run("runs", "--json").stdout)[0]["id"]
    assert "pipelines/p.yml" in project.run("runs", run, "--log", "then").stdout


def test_fail_fast_stops_the_other_items(project):
    project.pipeline(
        "tasks:\n  m: {matrix: {n: [0, 60, 61], fail_fast: true}, run: 'sleep {{ matrix.n }}; exit 1'}\n"
        "  z: {needs: [m], run: echo}\n"
    )
    begun = time.monotonic()
    project.run("run", "p", *DAY, code=1)
    assert time.monotonic() - begun < 20
    tasks = project.tasks()
    assert (tasks["m[n=0]"], tasks["m[n=60]"], tasks["m[n=61]"]) == (["FAILED"], ["CANCELLED"], ["CANCELLED"])


def test_outputs_reach_later_tasks_and_their_matrices(project):
    project.pipeline(
        "tasks:\n"
        '  list: {run: \'echo "{\\"files\\": [\\"x\\", \\"y\\"], \\"n\\": 3}" > $ADELT_OUTPUT\'}\n'
        "  each: {needs: [list], matrix: {f: '{{ tasks.list.outputs.files }}'}, "
        "run: 'echo {{ matrix.f }}{{ tasks.list.outputs.n }} >> log'}\n"
        "  none: {needs: [list], matrix: {f: '{{ tasks.list.outputs.nothing }}'}, run: echo}\n"
    )
    done = project.run("run", "p", *DAY, code=2)
    assert sorted(project.lines("log")) == ["x3", "y3"]
    assert "there is no `tasks.list.outputs.nothing`" in done.stderr


def test_a_secret_reaches_the_command_but_no_log_and_no_message(project):
    project.pipeline(
        "tasks:\n  a: {run: 'echo $K {{ secrets.KEY }} | tee seen; exit 1', env: {K: '{{ secrets.KEY }}'}}\n"
    )
    done = project.run("run", "p", *DAY, code=1)
    assert project.lines("seen") == ["open-sesame open-sesame"]
    logs = "".join(path.read_text() for path in (project.folder / "home" / "logs").rglob("*.log"))
    shown = project.run("runs", "--json").stdout
    assert "*** ***" in logs
    assert "open-sesame" not in logs + done.stdout + done.stderr + shown
    assert b"open-sesame" not in (project.folder / "home" / "ledger.sqlite").read_bytes()


def test_a_missing_secret_is_told_and_not_tried_again(project):
    project.pipeline("tasks:\n  a: {run: 'echo {{ secrets.NOPE }}', retries: {max: 3, delay: 0s}}\n")
    assert "the secret `NOPE` is not set" in project.run("run", "p", *DAY, code=2).stderr


def test_a_pipeline_runs_another_for_the_same_interval_and_inputs(project):
    project.pipeline(
        "inputs: {n: {type: integer, default: 1}, m: {type: integer, default: 1}}\n"
        "tasks:\n  a: {run: 'echo {{ inputs.n }} {{ inputs.m }} {{ interval.start }} >> log'}\n",
        "child",
    )
    project.pipeline(
        "inputs: {n: {type: integer, default: 5}}\ntasks:\n  a: {pipeline: {name: child, inputs: {m: 7}}}\n"
    )
    done = project.run("run", "p", *DAY)
    assert project.lines("log") == ["5 7 2026-01-05"]
    assert "p.child.a: succeeded" in done.stderr
    project.run("run", "p", *DAY)
    assert len(project.lines("log")) == 1


def test_a_pipeline_cannot_run_itself_through_a_command(project):
    project.pipeline("tasks:\n  a: {pipeline: {name: q}}\n")
    project.pipeline("tasks:\n  a: {run: 'echo'}\n", "q")
    project.env["ADELT_PIPELINE_STACK"] = "q"
    assert "already running around this task: q -> p -> q" in project.run("run", "p", *DAY, code=2).stderr


def test_a_stop_reaches_the_pipeline_below(project):
    project.pipeline("tasks:\n  a: {run: 'echo $$ > pid; sleep 60'}\n", "child")
    project.pipeline("tasks:\n  a: {pipeline: {name: child}}\n")
    runner = project.start("run", "p", *DAY)
    project.wait_for("pid")
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=30)
    assert gone(int(project.lines("pid")[0]))
    assert project.run_statuses() == ["CANCELLED", "CANCELLED"]


def test_sql_and_sensors(project):
    project.pipeline(
        "tasks:\n"
        "  make: {sql: {statement: 'create table t as select $n as n; insert into t values (2)', params: {n: 1}}}\n"
        "  wait_row: {needs: [make], sensor: {sql: 'select count(*) = 2 from t', poll: 1s, timeout: 5s}}\n"
        "  wait_file: {sensor: {file: 'flag-{{ interval.start | ymd }}*', poll: 1s, timeout: 10s}}\n"
        "  half: {needs: [wait_row], sql: 'insert into t values (3); select * from nothing', allow_failure: true}\n"
        "  late: {sensor: {file: never, poll: 1s, timeout: 1s}, allow_failure: true}\n"
    )
    (project.folder / "flag-20260105.txt").touch()
    project.run("run", "p", *DAY)
    shown = json.loads(project.run("query", "select n from t order by n", "--json").stdout)
    assert shown == [{"n": 1}, {"n": 2}]
    assert (project.tasks()["half"], project.tasks()["late"]) == (["WARNING"], ["WARNING"])


def test_a_lost_warehouse_is_loaded_again(project):
    project.pipeline("tasks:\n  a: {sql: create or replace table t as select 1 as n}\n")
    project.run("run", "p", *DAY)
    (project.folder / "home" / "warehouse.duckdb").unlink()
    assert "1 to run, 0 done" in project.run("plan", "p", *DAY).stdout
    project.run("run", "p", *DAY)
    assert project.tasks() == {"a": ["SUCCEEDED"]}


def test_intervals_run_one_after_the_other_and_end_at_the_first_failure(project):
    project.pipeline(
        "tasks:\n  a: {run: 'echo {{ interval.start }} >> log; test {{ interval.start }} != 2026-01-03'}\n"
    )
    project.run("run", "p", "--from", "2026-01-01", "--to", "2026-01-05", code=1)
    assert project.lines("log") == ["2026-01-01", "2026-01-02", "2026-01-03"]
