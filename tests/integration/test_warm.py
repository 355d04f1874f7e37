"""Workers forked from a warmed server: as isolated as processes of their own, and never a lost or doubled task."""

import contextlib
import itertools
import json
import os
import re
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import duckdb
import pytest

import adelt_sandbox
from adelt import definition, settings, warm
from adelt.engine import RunRequest, run_pipeline
from adelt.run import workers
from adelt.run.process import Command, Ended, Process
from adelt.window import parse_interval
from adelt_sources.light import UNUSED
from adelt_sources.warehouse import BigQuery, DuckDb

DAY = "2026-01-19"
PROBE = """
import atexit, json, os, random, signal, subprocess, sys, threading, time
from pathlib import Path

def show(*arguments):
    print(json.dumps({
        "argv": sys.argv,
        "env": {name: value for name, value in os.environ.items() if not name.endswith("_FD")},
        "cwd": os.getcwd(),
        "zone": time.tzname,
        "leads": [os.getpgrp() == os.getpid(), os.getsid(0) == os.getpid()],
        "signals": {s.name: str(signal.getsignal(s)).partition(" at ")[0] for s in signal.Signals},
        "blocked": sorted(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
        "standard": [os.readlink(f"/proc/self/fd/{n}") for n in range(3)],
        "handed": [os.readlink(f"/proc/self/fd/{os.environ[n]}")[:5] for n in ("ADELT_EVENTS_FD", "ADELT_LIFELINE_FD")],
        "umask": os.umask(0),
        "main": sys.modules["__main__"].__file__,
        "path": sys.path,
        "unbuffered": sys.stdout.write_through,
    }))

def more():
    print(json.dumps({
        "random": random.random(),
        "files": [str(path.readlink()).partition(":")[0] for path in list(Path("/proc/self/fd").iterdir()) if path.is_symlink()],
        "tasks": len(os.listdir("/proc/self/task")),
        "threads": threading.active_count(),
        "modules": sorted(sys.modules),
    }))

def end(how):
    print("before")
    sys.stdout.write("not flushed")
    atexit.register(print, "at exit")
    threading.Thread(target=lambda: (time.sleep(0.2), print("thread"))).start()
    exec(how)

def hang(name="pids", *ignored):
    for one in ignored:
        signal.signal(getattr(signal, one), signal.SIG_IGN)
    child = subprocess.Popen(["sleep", "60"])
    Path(name).write_text(f"{os.getpid()} {child.pid} .")
    while not Path("enough").exists():
        time.sleep(0.02)

def tell():
    os.write(int(os.environ["ADELT_EVENTS_FD"]), b"hello\\nworld\\n")

globals()[sys.argv[1]](*sys.argv[2:])
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with a module `probe`, which tasks are asked to run."""
    (tmp_path / "probe.py").write_text(PROBE)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setenv("ADELT_HOME", str(tmp_path / "home"))
    monkeypatch.delenv("ADELT_WAREHOUSE", raising=False)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def server(folder):
    """How the server is started: as for a run, but with nothing worth waiting for imported."""
    whole = warm.server(settings.load())
    return replace(whole, argv=[sys.executable, "-P", "-m", "adelt.warm", "json"])


@pytest.fixture
def task(folder):
    """Starts a function of the probe as a task."""
    numbers = itertools.count()

    class Task:
        def __init__(self, fork, *arguments, env=None, log="", timeout=None, grace=10.0):
            self.log = folder / (log or f"{next(numbers)}.log")
            self.log.unlink(missing_ok=True)
            self.lines, self._ended = [], []
            self._over = threading.Event()
            command = Command(
                [sys.executable, "-P", "-m", "probe", *arguments],
                {**os.environ, "PYTHONUNBUFFERED": "1", **(env or {})},
                folder,
                self.log,
                fork=fork,
            )
            self.process = Process(command, self.lines.append, self._end, timeout=timeout, grace=grace)
            self.process.start()

        def _end(self, ended: Ended) -> None:
            self._ended.append(ended)
            self._over.set()

        def wait(self) -> Ended:
            assert self._over.wait(30), self.log.read_text()
            assert len(self._ended) == 1
            return self._ended[0]

        def shown(self):
            assert self.wait().exit_code == 0, self.log.read_text()
            return json.loads(self.log.read_text())

    return Task


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def until(true, seconds: float = 8.0) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if true():
            return True  # not asked again: the answer may change
        time.sleep(0.02)
    return bool(true())


def gone(pid: int) -> bool:
    """Whether a process is gone, or goes within seconds."""
    return until(lambda: not alive(pid))


def children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*"):  # a child is its thread's
        with contextlib.suppress(OSError):  # that thread has ended meanwhile, the others have not
            found += [int(word) for word in (thread / "children").read_text().split()]
    return found


def server_of(runner: int) -> int:
    """The server that a process has started, once it has."""
    found: list[int] = []

    def look() -> bool:
        found[:] = [
            pid for pid in children(runner) if b"adelt.warm" in Path(f"/proc/{pid}/cmdline").read_bytes()
        ]
        return bool(found)

    assert until(look, 20)
    assert len(found) == 1
    return found[0]


def pids(folder: Path, name: str = "pids") -> list[int]:
    """The processes of the probe `hang`, once it has begun: itself and its child."""
    file = folder / name
    assert until(lambda: file.exists() and file.read_text().endswith("."), 20)
    return [int(word) for word in file.read_text().split()[:2]]


def test_a_worker_is_what_a_process_of_its_own_would_be(folder, server, task):
    arguments = ("show", "with spaces", "")
    env = {"ONLY_HERE": "1", "TZ": "Asia/Tokyo", "NOT_TEXT": b"\xff\xfe".decode("utf-8", "surrogateescape")}
    with workers.opened(server) as forked:
        warmed = task(forked, *arguments, env=env, log="same").shown()
    plain = task(None, *arguments, env=env, log="same").shown()
    assert warmed == plain
    assert warmed["leads"] == [True, True]
    assert warmed["zone"] == ["JST", "JST"]
    assert warmed["standard"] == ["/dev/null", str(folder / "same"), str(folder / "same")]


def test_workers_share_nothing(folder, server, task):
    with workers.opened(server) as forked:
        first = task(forked, "hang", env={"OF_THE_FIRST": "x"})
        pids(folder)
        second, third = task(forked, "show", env={"OF_THE_SECOND": "y"}), task(forked, "more")
        assert {"OF_THE_FIRST", "OF_THE_SECOND"} & set(second.shown()["env"]) == {"OF_THE_SECOND"}
        files = third.shown()["files"]
        # /dev/null, log twice, events, lifeline, the connection; nothing of the server or of the first.
        assert sorted(files) == sorted(["/dev/null", *[str(third.log)] * 2, "pipe", "pipe", "socket"])
        assert task(forked, "more").shown()["random"] != third.shown()["random"]
        (folder / "enough").touch()
        assert first.wait().exit_code == 0


@pytest.mark.parametrize(
    "warehouse", [DuckDb(Path("w.duckdb")), BigQuery("a-project")], ids=["duckdb", "bigquery"]
)
def test_the_real_server_has_one_thread_no_connection_and_nothing_unused(folder, task, warehouse):
    here = replace(settings.load(), warehouse=warehouse)
    with workers.opened(warm.server(here)) as forked:
        shown = task(forked, "more").shown()
        pid = server_of(os.getpid())
        assert len(list(Path(f"/proc/{pid}/task").iterdir())) == 1
        # The door, once that worker is forgotten.
        assert until(
            lambda: len([path for path in Path(f"/proc/{pid}/fd").iterdir() if path.is_socket()]) == 1
        )
    assert (shown["tasks"], shown["threads"]) == (1, 1)
    assert {"dlt", "duckdb", "pyarrow", "googleapiclient", "adelt.taskrun"} <= set(shown["modules"])
    assert not {*UNUSED, "dbt", "rich"} & set(shown["modules"])
    assert gone(pid)


@pytest.mark.parametrize(
    "how",
    [
        "pass",
        "sys.exit(3)",
        "sys.exit(256 + 7)",
        "sys.exit('a text')",
        "raise ValueError('a bug')",
        "os._exit(9)",
        "os.kill(os.getpid(), signal.SIGKILL)",
        "os.kill(os.getpid(), signal.SIGTERM)",
        "os.kill(os.getpid(), signal.SIGSEGV)",
    ],
)
def test_every_end_is_told_as_that_of_a_process_of_its_own(server, task, how):
    with workers.opened(server) as forked:
        warmed = task(forked, "end", how)
        plain = task(None, "end", how)
        assert warmed.wait().exit_code == plain.wait().exit_code
    assert _without_frames(warmed.log) == _without_frames(plain.log)
    assert warmed.log.read_text().startswith("before")


def _without_frames(log: Path) -> list[str]:
    """The lines of a log without the frames of a traceback, which begin elsewhere."""
    return [line for line in log.read_text().splitlines() if not line.startswith("  ")]


def test_events_arrive(server, task):
    with workers.opened(server) as forked:
        told = task(forked, "tell")
        told.wait()
    assert told.lines == ["hello\n", "world\n"]


def test_a_timeout_ends_a_worker_and_what_it_has_started(folder, server, task):
    with workers.opened(server) as forked:
        slow = task(forked, "hang", "pids", "SIGTERM", timeout=1.5, grace=0.5)
        processes = pids(folder)
        ended = slow.wait()
        assert (ended.exit_code, ended.timed_out, ended.stopped) == (-signal.SIGKILL, True, False)
        assert all(gone(pid) for pid in processes)
        assert task(forked, "show").wait().exit_code == 0


def test_a_stop_ends_a_worker_and_what_it_has_started(folder, server, task):
    with workers.opened(server) as forked:
        slow = task(forked, "hang")
        processes = pids(folder)
        slow.process.stop()
        ended = slow.wait()
        assert (ended.exit_code, ended.timed_out, ended.stopped) == (-signal.SIGTERM, False, True)
        assert all(gone(pid) for pid in processes)


@pytest.mark.parametrize(("limit", "timed_out"), [(None, False), (0.5, True)])
def test_a_task_that_waits_for_its_worker_can_be_given_up(folder, server, task, limit, timed_out):
    never = replace(server, argv=["sh", "-c", "exec sleep 60"])
    with workers.opened(never) as forked:
        waiting = task(forked, "hang", timeout=limit)
        if limit is None:
            time.sleep(0.2)
            waiting.process.stop()
        ended = waiting.wait()
    assert (ended.timed_out, ended.stopped, ended.exit_code) == (timed_out, not timed_out, -signal.SIGTERM)
    assert not (folder / "pids").exists()


def test_a_worker_outlives_its_server_and_its_end_is_told(folder, server, task):
    with workers.opened(server) as forked:
        good, killed = task(forked, "hang", "good"), task(forked, "hang", "bad")
        pids(folder, "good")
        victim, _ = pids(folder, "bad")
        os.kill(server_of(os.getpid()), signal.SIGKILL)
        os.kill(victim, signal.SIGKILL)
        assert killed.wait().exit_code == 1
        later = task(forked, "end", "pass")
        assert later.wait().exit_code == 0
        (folder / "enough").touch()
        assert good.wait().exit_code == 0
    lines = later.log.read_text().splitlines()
    assert re.fullmatch(r"no worker \(.+\): started as a process of its own", lines[0])
    assert lines[1] == "before"


@pytest.mark.parametrize(
    ("argv", "why"),
    [
        (["false"], ""),
        (["/no/such/program"], ""),
        ([sys.executable, "-P", "-m", "adelt.warm", "no_such_module"], "No module named 'no_such_module'"),
        ([sys.executable, "-P", "-m", "adelt.warm", "threaded"], "threads python are running"),
    ],
)
def test_without_a_server_tasks_are_processes_of_their_own(folder, server, task, argv, why):
    (folder / "threaded.py").write_text(
        "import threading, time\nthreading.Thread(target=time.sleep, args=(60,), daemon=True).start()\n"
    )
    with workers.opened(replace(server, argv=argv)) as forked:
        done = [task(forked, "end", "pass") for _ in range(3)]
        assert [one.wait().exit_code for one in done] == [0, 0, 0]
    for one in done:
        text = one.log.read_text()
        assert (text.count("no worker ("), text.count("before")) == (1, 1)
    assert why in (server.log.read_text() if server.log.exists() else "")


def test_a_worker_that_gets_no_order_does_nothing(folder, server):
    order = workers.Order([sys.executable, "-P", "-m", "probe", "hang"], dict(os.environ), folder)
    with workers.opened(server) as forked, (folder / "log").open("w") as log:
        answers = iter([False, True])  # the second question is asked when the worker is ready
        with pytest.raises(workers.GivenUpError):
            forked.start(order, (log.fileno(),) * 3, lambda: next(answers))
        forker = server_of(os.getpid())
        assert until(lambda: not children(forker))
    assert not (folder / "pids").exists()


# The rest is the command line against the sandbox.


@pytest.fixture(scope="module")
def sandbox():
    with adelt_sandbox.running(report_seconds=0.02) as running:
        running.set_clock("2026-01-20T06:00:00Z")
        yield running


class Project:
    """A folder with pipelines, and the command line in it."""

    def __init__(self, folder: Path, env) -> None:
        self.folder = folder
        (folder / "pipelines").mkdir()
        self.env = {
            **os.environ,
            **env,
            "ADELT_PROJECT": str(folder),
            "ADELT_HOME": str(folder / "home"),
            "ADELT_POLL_MIN": "0.02",
            "ADELT_POLL_MAX": "0.1",
            "ADELT_RETRY_MIN": "0.01",
            "ADELT_SECRET_KEY": "open-sesame",
        }
        self.env.pop("ADELT_WAREHOUSE", None)

    def pipeline(self, body: str, name: str = "p") -> None:
        (self.folder / "pipelines" / f"{name}.yml").write_text(f"version: 1\nname: {name}\n{body}", "utf-8")

    def start(self, name: str = "p") -> "subprocess.Popen[str]":
        return subprocess.Popen(
            [sys.executable, "-P", "-m", "adelt", "run", name, "--date", DAY],
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, name: str = "p", code: int = 0) -> str:
        runner = self.start(name)
        text, _ = runner.communicate(timeout=100)
        assert runner.returncode == code, text
        return text

    def ledger(self, sql: str):
        with contextlib.closing(sqlite3.connect(self.folder / "home" / "ledger.sqlite")) as con:
            return con.execute(sql).fetchall()

    def tasks(self):
        return self.ledger("SELECT instance, status FROM task_run ORDER BY id")

    def logs(self) -> str:
        return "".join(path.read_text() for path in (self.folder / "home" / "logs").glob("*/*.log"))


@pytest.fixture
def project(sandbox, tmp_path):
    sandbox.set_faults([])
    return Project(tmp_path, sandbox.env)


TABLES = (
    "concurrency: {tasks: 2}\n"
    "tasks:\n"
    "  t: {matrix: {t: [campaign, creative, partner]}, ingest: {source: dv360, table: '{{ matrix.t }}'}}\n"
)


def test_a_run_ends_the_same_with_workers_and_without(project, sandbox, monkeypatch):
    project.pipeline(TABLES)
    seen = []
    for kind in ("plain", "forked"):
        home = project.folder / kind
        for name, value in {**project.env, "ADELT_HOME": str(home)}.items():
            monkeypatch.setenv(name, value)
        here = settings.load()
        with contextlib.ExitStack() as stack:
            forked = stack.enter_context(workers.opened(warm.server(here))) if kind == "forked" else None
            request = RunRequest(
                definition.find("p", here.project), parse_interval(f"{DAY}/2026-01-20"), workers=forked
            )
            assert run_pipeline(here, request).exit_code == 0
            if forked:
                server_of(os.getpid())  # it was there
        with contextlib.closing(sqlite3.connect(home / "ledger.sqlite")) as con:
            rows = con.execute(
                "SELECT t.instance, t.attempt, t.status, t.exit_code, t.message, t.outputs, o.kind, o.asset, o.rows "
                "FROM task_run t JOIN operation o ON o.task_run_id = t.id ORDER BY 1"
            ).fetchall()
        with duckdb.connect(str(home / "warehouse.duckdb")) as con:
            held = {
                table: con.execute(
                    f"SELECT * EXCLUDE (_run_id, _loaded_at) FROM raw_dv360.{table} ORDER BY ALL"
                ).fetchall()
                for table in ("campaign", "creative", "partner")
            }
        texts = sorted(path.read_text() for path in home.glob("logs/*/*.log"))
        assert "no worker" not in "".join(texts)
        seen.append((rows, held, [re.sub(r"wait: .*\n", "", text) for text in texts]))
    assert len(seen[0][0]) == 3
    assert seen[0] == seen[1]


def test_pipelines_below_share_one_server(project):
    project.pipeline(TABLES, "a")
    project.pipeline(TABLES.replace("dv360", "cm360").replace("partner", "account"), "b")
    project.pipeline("tasks:\n  a: {pipeline: {name: a}}\n  b: {pipeline: {name: b}}\n")
    runner = project.start()
    server = server_of(runner.pid)
    forked: set[int] = set()
    others: set[bytes] = set()
    while runner.poll() is None:
        forked.update(children(server))
        for pid in children(runner.pid):
            for below in children(pid) if pid != server else ():
                with contextlib.suppress(OSError):
                    others.add(Path(f"/proc/{below}/cmdline").read_bytes())
        time.sleep(0.005)
    text = runner.communicate()[0]
    assert runner.returncode == 0, text
    assert len(forked) >= 6  # `uname` is one that an import starts
    assert not [line for line in others if b"ingest" in line or b"adelt.warm" in line]
    assert gone(server)
    assert "no worker" not in project.logs()


@pytest.fixture
def slow(project, sandbox):
    """A run whose only task waits for a report that takes its time: runner, server, worker."""
    sandbox.set_faults([{"match": {"path": ":run$"}, "fault": "slow_report", "seconds": 4}])
    project.pipeline(
        "tasks:\n  r:\n    retries: {max: 1, delay: 0s}\n    ingest: {source: dv360_reports, table: standard}\n"
    )
    runner = project.start()
    server = server_of(runner.pid)
    assert until(lambda: "fetch:" in project.logs(), 20)
    (worker,) = children(server)
    yield runner, server, worker
    with contextlib.suppress(ProcessLookupError):
        runner.kill()
    runner.communicate()
    assert gone(server)
    assert gone(worker)


def test_a_server_that_is_killed_takes_no_task_with_it(project, slow):
    runner, server, _ = slow
    os.kill(server, signal.SIGKILL)
    text, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, text
    assert project.tasks() == [("r", "SUCCEEDED")]
    assert project.ledger("SELECT count(*) FROM operation") == [(1,)]


def test_a_worker_that_is_killed_is_tried_again(project, slow, sandbox):
    runner, _, worker = slow
    sandbox.set_faults([])
    os.kill(worker, signal.SIGKILL)
    text, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, text
    assert project.tasks() == [("r", "FAILED"), ("r", "SUCCEEDED")]
    assert project.ledger("SELECT message FROM task_run WHERE status = 'FAILED'") == [
        ("was killed by signal 9",)
    ]


def test_server_and_worker_killed_at_once_is_one_failure_and_one_success(project, slow, sandbox):
    runner, server, worker = slow
    sandbox.set_faults([])
    os.kill(server, signal.SIGKILL)
    os.kill(worker, signal.SIGKILL)
    text, _ = runner.communicate(timeout=60)
    assert runner.returncode == 0, text
    assert project.tasks() == [("r", "FAILED"), ("r", "SUCCEEDED")]
    assert project.logs().count("no worker (") == 1


def test_a_stop_of_the_run_leaves_nothing(project, slow):
    runner, _, _ = slow
    runner.send_signal(signal.SIGINT)
    runner.communicate(timeout=20)
    assert runner.returncode == 130
    assert project.tasks() == [("r", "CANCELLED")]


def test_a_killed_runner_takes_server_and_workers_with_it(project, slow, sandbox):
    runner, server, worker = slow
    runner.kill()
    assert gone(server)
    assert gone(worker)
    sandbox.set_faults([])
    project.run()
    assert project.tasks()[-1] == ("r", "SUCCEEDED")


def test_secrets_stay_out_of_logs(project):
    project.pipeline(
        "tasks:\n  a: {ingest: {source: dv360, table: campaign, params: {partner_ids: '{{ secrets.KEY }}'}}}\n"
    )
    text = project.run(code=2)
    assert "`***` is not an id" in text
    assert "`***` is not an id" in project.logs()
    assert "open-sesame" not in text + project.logs()
    assert b"open-sesame" not in (project.folder / "home" / "ledger.sqlite").read_bytes()
