"""Backfills whose chunks are runs of Airflow or Orchestra: started once, watched to the end, and never guessed about."""

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from datetime import date, timedelta

import pytest
from engines import DROP, FakeAirflow, FakeOrchestra

import adelt_sandbox
from adelt.cli import run_app
from adelt.cli.app import app

DAYS = ["--from", "2026-01-01", "--to", "2026-01-05"]
EACH = Counter(f"2026-01-0{day}/2026-01-0{day + 1}" for day in range(1, 6))
INPUTS = "inputs: {n: {type: integer, default: 1}, who: {type: array, items: string, default: [a]}}\n"
LOAD = "  load: {run: echo}\n"
DBT = "  transform: {needs: [load], dbt: {command: build}}\n"
BUSY = (429, {"Retry-After": "0"})
ENGINES = {"airflow": FakeAirflow, "orchestra": FakeOrchestra}


class Home:
    """A project, and the engine that its pipelines are deployed to."""

    def __init__(self, folder, name, monkeypatch, capsys):
        self.folder, self.name, self._patch, self._capsys = folder, name, monkeypatch, capsys
        (folder / "pipelines").mkdir()
        self.write("p", LOAD)
        self.server = ENGINES[name](folder)

    def write(self, name, tasks):
        (self.folder / "pipelines" / f"{name}.yml").write_text(
            f"version: 1\nname: {name}\n{INPUTS}tasks:\n{tasks}"
        )

    def at(self, url):
        self.url = url
        secret = {"airflow": "AIRFLOW_TOKEN", "orchestra": "ORCHESTRA_API_KEY"}[self.name]
        self.set(
            ADELT_PROJECT=str(self.folder), ADELT_HOME=str(self.folder / "home"), ADELT_POLL_MIN="0.02",
            ADELT_RETRY_MIN="0.01", ADELT_RETRY_MAX="0.02", ADELT_ATTEMPTS="3", ADELT_AIRFLOW_URL=url,
            ADELT_ORCHESTRA_URL=f"{url}/api/engine/public", **{secret: self.server.token},
        )  # fmt: skip

    def set(self, **variables):
        for name, value in variables.items():
            self._patch.setenv(name, value)

    def __call__(self, *arguments, code=0, engine=True):
        """Run `adelt backfill`; what it said to both streams."""
        more = ["--engine", self.name] if engine else []
        self._patch.setattr(sys, "argv", ["adelt", "backfill", *arguments, *more])
        app.registered_commands.clear()  # a process registers them once
        with pytest.raises(SystemExit) as ended:
            run_app()
        out, err = self._capsys.readouterr()
        assert (ended.value.code or 0) == code, f"{ended.value.code}\n{out}\n{err}"
        assert self.server.token not in out + err
        return out, err

    def resume(self, *arguments, code=0):
        return self("--resume", "last", *arguments, code=code, engine=False)

    def status(self):
        return json.loads(self("--status", "last", "--json", engine=False)[0])

    def states(self):
        return Counter(chunk["status"] for chunk in self.status()["chunks"])

    def start(self, *arguments):
        words = ["-P", "-m", "adelt", "backfill", *arguments]
        return subprocess.Popen(
            [sys.executable, *words],
            env=os.environ,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )

    def wait_for(self, count):
        deadline = time.monotonic() + 30
        while len(self.server.runs) < count:
            assert time.monotonic() < deadline
            time.sleep(0.01)


@pytest.fixture
def make_home(tmp_path, monkeypatch, capsys):
    homes = []

    def make(name):
        home = Home(tmp_path, name, monkeypatch, capsys)
        listening = home.server.listening()
        home.at(listening.__enter__())
        homes.append(listening)
        return home

    yield make
    for listening in homes:
        listening.__exit__(None, None, None)


@pytest.fixture(params=["airflow", "orchestra"])
def home(request, make_home):
    return make_home(request.param)


@pytest.fixture
def airflow(make_home):
    return make_home("airflow")


@pytest.fixture
def orchestra(make_home):
    return make_home("orchestra")


def test_every_chunk_is_a_run_with_its_interval_and_inputs(home):
    _, err = home("p", *DAYS, "-i", "n=3", "-i", "who=x,y")
    assert "5/5" in err
    assert home.server.intervals() == EACH
    assert home.server.most_at_once == 1
    run = next(iter(home.server.runs.values()))
    if home.name == "airflow":
        assert run["conf"] == {"adelt_interval": "2026-01-01/2026-01-02", "n": 3, "who": ["x", "y"]}
    else:
        assert run["body"] == {"runInputs": {"adelt_at": "2026-01-01/2026-01-02", "n": 3, "who": "x,y"}}
    assert home.states() == {"SUCCEEDED": 5}
    home.resume()
    assert home.server.intervals() == EACH


def test_as_many_at_once_as_asked_for_newest_first(home):
    home.server.looks = 3
    home("p", *DAYS, "--parallel", "3", "--order", "newest")
    assert home.server.most_at_once == 3
    first = [run["interval"][:10] for run in home.server.runs.values()]
    assert first == sorted(first, reverse=True)


def test_longer_chunks_and_dbt_once_at_the_end(home):
    home.write("p", LOAD + DBT)
    home("p", "--from", "2026-01-30", "--to", "2026-02-02", "--chunk", "month")
    runs = list(home.server.runs.values())
    assert [run["interval"] for run in runs] == [
        "2026-01-30/2026-02-01",
        "2026-02-01/2026-02-03",
        "2026-01-30/2026-02-03",
    ]
    told = [run["conf"]["adelt_select"] if home.name == "airflow" else run["body"]["taskIds"] for run in runs]
    assert [[name.removesuffix("-run") for name in names] for names in told] == [
        ["load"],
        ["load"],
        ["transform"],
    ]
    if home.name == "airflow":  # what dbt did for these days before is of other rows
        assert [run["conf"].get("adelt_force", False) for run in runs] == [False, False, True]


def test_a_run_that_fails_leaves_the_others_alone_and_is_begun_anew_by_resume(home):
    home.server.ends = {"2026-01-03": "FAILED"}
    out, err = home("p", *DAYS, code=1)
    assert "ingest" in out
    assert "adelt backfill --resume" in err
    assert home.states() == {"SUCCEEDED": 4, "FAILED": 1}
    home.server.ends = {"2026-01-03": "FAILED"}
    home.resume(code=1)  # it is still broken
    assert home.server.intervals()["2026-01-03/2026-01-04"] == 2
    home.server.ends = {}
    home.resume()
    # The run that failed succeeds now, as if it had been repaired there: nothing is started.
    assert home.server.intervals() == EACH + Counter(["2026-01-03/2026-01-04"])


def test_no_address_is_longer_than_servers_take(orchestra):
    days = [date(2026, 1, 1) + timedelta(days=day) for day in range(60)]
    orchestra.server.ends = {str(day): "FAILED" for day in days}
    words = ("--from", str(days[0]), "--to", str(days[-1]), "--parallel", "64")
    orchestra("p", *words, code=1)
    orchestra.server.ends = {}
    orchestra.resume()  # all of them were repaired there
    assert len(orchestra.server.runs) == len(days)
    assert max(map(len, orchestra.server.asked)) < 2100


def test_dry_run_asks_and_starts_nothing(home):
    out, _ = home("p", *DAYS, "--dry-run")
    assert "2026-01-05" in out
    assert not home.server.runs
    assert any("GET" in asked for asked in home.server.asked)
    home.write("d", LOAD + DBT)
    lines = home("d", *DAYS, "--dry-run")[0].splitlines()
    assert [line.split("\t")[-1] for line in lines[-6:]] == ["load"] * 5 + ["transform"]
    home.server.unknown = {"p"}
    _, err = home("p", *DAYS, "--dry-run", code=2)
    assert "no such" in err


def test_everything_is_checked_before_anything_starts(home):
    home.write("q", LOAD)
    home.write("r", LOAD)
    home.server.unknown, home.server.paused = {"q"}, {"r"}
    _, err = home("p", "q", "r", *DAYS, code=2)
    assert err.count("error ") == 2
    assert "paused" in err
    assert not home.server.runs
    assert not any("POST" in asked for asked in home.server.asked)


@pytest.mark.parametrize("wrong", ["token", "none"])
def test_credentials_that_are_wrong_or_missing_are_told_at_once(home, wrong):
    name = "AIRFLOW_TOKEN" if home.name == "airflow" else "ORCHESTRA_API_KEY"
    home.set(**{name: "wrong-token-value" if wrong == "token" else ""})
    _, err = home("p", *DAYS, code=2)
    assert name in err
    assert "wrong-token-value" not in err
    assert not home.server.runs


def test_nobody_there(home):
    gone = "http://127.0.0.1:9"
    home.set(ADELT_AIRFLOW_URL=gone, ADELT_ORCHESTRA_URL=gone)
    _, err = home("p", *DAYS, code=1)
    assert "nobody answers" in err


@pytest.mark.parametrize(
    ("url", "part"),
    [
        ("http://airflow.example.com", "unprotected"),
        ("https://ann:secret@airflow.example.com", "password"),
        ("airflow", "not an address"),
        ("https://[", "not an address"),
    ],
)
def test_an_address_is_safe_and_whole(home, url, part):
    home.set(ADELT_AIRFLOW_URL=url, ADELT_ORCHESTRA_URL=url)
    _, err = home("p", *DAYS, code=2)
    assert part in err
    assert "secret@" not in err


@pytest.mark.parametrize("busy", [BUSY, (503, {"Retry-After": "0"})])
def test_a_busy_engine_is_asked_again_and_has_each_run_once(home, busy):
    home.server.before, home.server.reads = [busy, busy], [BUSY]
    home("p", *DAYS)
    assert home.server.intervals() == EACH


def test_retry_after_is_waited_for(home):
    home.server.before = [(429, {"Retry-After": "1"})]
    begun = time.monotonic()
    home("p", "--from", "2026-01-01", "--to", "2026-01-01")
    assert time.monotonic() - begun >= 1


@pytest.mark.parametrize("lost", [DROP, (500, {}), (503, {"Retry-After": "0"}), (504, {})])
def test_a_run_whose_answer_was_lost_is_found_and_not_started_twice(home, lost):
    home.server.after = [lost]
    home("p", *DAYS)
    assert home.server.intervals() == EACH
    assert home.states() == {"SUCCEEDED": 5}


def test_airflow_is_asked_again_when_an_answer_is_lost_before_it_took_the_run(airflow):
    airflow.server.before = [DROP, (500, {})]
    airflow("p", *DAYS)
    assert airflow.server.intervals() == EACH


@pytest.mark.parametrize("lost", [DROP, (502, {})])
def test_orchestra_is_not_asked_again_when_nobody_knows(orchestra, lost):
    orchestra.server.before = [lost]
    out, _ = orchestra("p", *DAYS, code=1)
    assert "1 unknown" in out
    assert "nobody knows" in out
    assert orchestra.states() == {"SUCCEEDED": 4, "UNKNOWN": 1}
    orchestra.resume(code=1)  # looks again, and starts nothing
    first = "2026-01-01/2026-01-02"
    assert orchestra.server.intervals() == EACH - Counter([first])
    orchestra.resume("--retry-unknown")
    assert orchestra.server.intervals() == EACH
    assert orchestra.status()["status"] == "SUCCEEDED"


def test_a_run_that_cannot_be_told_apart_is_unknown_until_it_shows(orchestra):
    orchestra.server.after, orchestra.server.tells_parameters = [DROP], False
    orchestra("p", *DAYS, code=1)
    assert orchestra.states() == {"SUCCEEDED": 4, "UNKNOWN": 1}
    orchestra.server.tells_parameters = True
    orchestra.resume("--retry-unknown")  # it looks before it starts
    assert orchestra.server.intervals() == EACH


def test_another_run_of_the_pipeline_is_not_taken_for_ours(orchestra):
    orchestra.server.start("p", {"runInputs": {"adelt_at": "2026-01-05T01:00:00"}})
    orchestra.server.before = [DROP]
    orchestra("p", *DAYS, code=1)
    assert orchestra.states()["UNKNOWN"] == 1


def test_a_run_of_an_earlier_backfill_is_not_taken_for_ours(orchestra):
    orchestra("p", *DAYS)
    orchestra.server.before = [DROP]
    orchestra("p", *DAYS, code=1)  # the same days, a moment later
    assert orchestra.states() == {"SUCCEEDED": 4, "UNKNOWN": 1}


def test_dbt_at_the_end_waits_for_what_nobody_knows(orchestra):
    orchestra.write("p", LOAD + DBT)
    orchestra.server.before = [DROP]
    orchestra("p", *DAYS, code=1)
    assert orchestra.states() == {"SUCCEEDED": 4, "UNKNOWN": 1, "PLANNED": 1}


def test_an_engine_that_goes_away_ends_the_backfill_and_its_runs_are_followed_later(home):
    home.server.looks = 3
    home.server.reads = []
    original = home.server.started

    def started(run):
        original(run)
        if len(home.server.runs) == 2:
            home.server.reads = [(500, {})] * 3  # as many as there are attempts

    home.server.started = started
    out, err = home("p", *DAYS, "--parallel", "2", code=1)
    assert "it answered 500" in err
    assert "goes on" in out
    assert home.states() == {"RUNNING": 2, "PLANNED": 3}
    home.resume()
    assert home.server.intervals() == EACH


def test_ctrl_c_lets_runs_go_on_and_resume_follows_them(home):
    home.server.looks = 10**6
    process = home.start("p", *DAYS, "--parallel", "2", "--engine", home.name)
    for _ in range(2):  # the second time while it follows them
        home.wait_for(2)
        asked = len(home.server.asked)
        while len(home.server.asked) < asked + 6:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert "goes on" in out
        assert home.states() == {"RUNNING": 2, "PLANNED": 3}
        process = home.start("--resume", "last")
    for run in home.server.runs.values():
        run["looks"] = 1
    home.server.looks = 1
    _, err = process.communicate(timeout=30)
    assert process.returncode == 0, err
    assert home.server.intervals() == EACH


def test_a_long_wait_can_be_cut_short_and_nothing_was_started(home):
    home.server.before = [(429, {"Retry-After": "600"})]
    process = home.start("p", *DAYS, "--engine", home.name)
    while home.server.before:
        time.sleep(0.01)
    time.sleep(0.3)
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=10)
    assert process.returncode == 130, err
    home.resume()
    assert home.server.intervals() == EACH


@pytest.mark.parametrize("answer", [(429, {}), (429, {"Retry-After": "86400"})])
def test_an_engine_that_stays_busy_ends_the_backfill(home, answer):
    home.server.before = [answer] * 3
    _, err = home("p", *DAYS, code=1)
    assert "429" in err or "come back in 24.0 hours" in err
    home.server.before = []
    home.resume()
    assert home.server.intervals() == EACH


def test_killed_while_a_start_is_on_its_way(home, monkeypatch):
    """The request has arrived, and the process dies before it can note the answer."""

    class KilledError(BaseException):
        pass

    from adelt.ledger.backfills import Backfills

    with monkeypatch.context() as patch:

        def die(*_):
            raise KilledError

        patch.setattr(Backfills, "chunk_runs", die)
        patch.setattr(sys, "argv", ["adelt", "backfill", "p", *DAYS, "--engine", home.name])
        with pytest.raises(KilledError):
            run_app()
    from adelt import settings
    from adelt.engine import open_ledger

    with open_ledger(settings.load()).transaction() as con:  # what the ledger sees once the process is dead
        con.execute("UPDATE backfill SET status = 'FAILED'")
    assert home.states() == {"STARTING": 1, "PLANNED": 4}
    home.resume()
    assert home.server.intervals() == EACH


def test_killed_again_and_again_every_chunk_is_run_once(home):
    home.server.looks, seed = 3, random.Random(5)
    process = home.start(
        "p", "--from", "2026-01-01", "--to", "2026-01-31", "--parallel", "3", "--engine", home.name
    )
    for _ in range(3):
        home.wait_for(min(31, len(home.server.runs) + 5))
        time.sleep(seed.uniform(0, 0.1))
        process.kill()
        process.communicate()
        home.server.after = [DROP]
        process = home.start("--resume", "last")
    _, err = process.communicate(timeout=60)
    if (
        home.name == "orchestra" and process.returncode == 1
    ):  # killed before an order was sent: nobody can know that
        assert "it is not known whether it was started" in err
        home.resume("--retry-unknown")
    else:
        assert process.returncode == 0, err
    assert sorted(home.server.intervals().values()) == [1] * 31


def test_two_at_once_and_another_deployment_are_refused(home):
    home.server.looks = 10**6
    process = home.start("p", *DAYS, "--engine", home.name)
    try:
        home.wait_for(1)
        _, err = home("p", *DAYS, code=1)
        assert "is at work on the same pipelines" in err
    finally:
        process.kill()
        process.communicate()
    with home.server.listening() as other:
        home.at(other)
        _, err = home.resume(code=2)
        assert "this is" in err


def test_options_that_do_not_fit_are_refused(home):
    _, err = home("p", *DAYS, "--target", "local", code=2)
    assert "--target" in err
    _, err = home("p", *DAYS, "--retry-unknown", code=2)
    assert "--resume" in err
    _, err = home("p", *DAYS, "--engine", "kestra", code=2, engine=False)
    assert "--engine" in err


def test_a_file_may_name_the_engine(home):
    path = home.folder / "years.yml"
    path.write_text(
        f"engine: {home.name}\nparallel: 2\npipelines:\n  - {{pipeline: p, from: 2026-01-01, to: 2026-01-05}}\n"
    )
    home("--config", str(path), engine=False)
    assert home.server.intervals() == EACH


def test_airflow_2_is_spoken_to_in_its_own_version(airflow):
    airflow.server.version = "v1"
    airflow("p", *DAYS)
    assert airflow.server.intervals() == EACH


def test_airflow_with_a_user_and_a_password(airflow):
    airflow.set(ADELT_AIRFLOW_USER="ann", AIRFLOW_PASSWORD="pa55word", AIRFLOW_TOKEN="")
    airflow("p", *DAYS)
    assert airflow.server.intervals() == EACH
    airflow.set(AIRFLOW_PASSWORD="wr0ngword")
    _, err = airflow("p", *DAYS, code=2)
    assert "AIRFLOW_PASSWORD" in err
    assert "wr0ngword" not in err


def test_composer_is_asked_with_google_credentials(airflow, monkeypatch):
    from adelt.backfill.remote import airflow as module

    with adelt_sandbox.running() as sandbox:
        airflow.set(AIRFLOW_TOKEN="", **sandbox.env)
        monkeypatch.setattr(module, "_COMPOSER", ("127.0.0.1",))
        seen = set()
        airflow.server.allowed = lambda header: seen.add(header) or bool(header)
        airflow("p", *DAYS)
    assert airflow.server.intervals() == EACH
    (header,) = seen  # of every request, that for the version included
    assert header.startswith("Bearer ")
    assert airflow.server.token not in header


def test_an_airflow_that_was_deployed_before_is_refused(airflow):
    deployed = airflow.server.dag
    airflow.server.dag = lambda dag: {**deployed(dag), "doc_md": "sha256 0123456789ab"}
    _, err = airflow("p", *DAYS, code=2)
    assert "another pipelines/p.yml" in err
    airflow.server.dag = deployed
    del airflow.server.params["adelt_select"]
    airflow("p", *DAYS)
    _, err = airflow("p", *DAYS, "--select", "load", code=2)
    assert "adelt_select" in err
    assert airflow.server.intervals() == EACH


def test_orchestra_is_told_no_input_that_it_would_break_on(orchestra):
    _, err = orchestra("p", *DAYS, "-i", 'who=a"b', code=2)
    assert "a quote" in err
    orchestra.write("p", "  load: {matrix: {one: '{{ inputs.who }}'}, run: echo}\n")
    _, err = orchestra("p", *DAYS, "-i", "who=x", code=2)
    assert "no input `who`" in err
    assert not orchestra.server.runs


def test_orchestra_with_other_tasks_is_refused(orchestra):
    deployed = orchestra.server.data
    orchestra.server.data = lambda alias: {**deployed(alias), "pipeline": {"load": {}, "old": {}}}
    _, err = orchestra("p", *DAYS, code=2)
    assert "`old`" in err
