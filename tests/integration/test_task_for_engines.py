"""What engines need of `adelt task`: an instant instead of an interval, outputs handed in and out."""

import json
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest
import typer

from adelt import definition, engine, publish, settings
from adelt.cli import intervals, runs
from adelt.definition.model import Pipeline
from adelt.errors import AdeltError, InputError
from adelt.window import Interval

PIPELINE = """
version: 1
name: handed
interval: {every: EVERY}
tasks:
  find: {run: "echo 'tables=[\\"a\\", \\"b\\"]' > $ADELT_OUTPUT"}
  each:
    needs: [find]
    matrix: {table: "{{ tasks.find.outputs.tables }}"}
    run: [echo, "{{ matrix.table }} {{ interval.start | date }} {{ tasks.find.outputs.bucket }}"]
"""
FAILING = "{version: 1, name: failing, tasks: {find: {run: 'echo x=1 > $ADELT_OUTPUT; exit 1'}}}"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/handed.yml").write_text(PIPELINE.replace("EVERY", "day"))
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ADELT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("ADELT_TARGET", "local")
    monkeypatch.setenv("ADELT_WAREHOUSE", str(tmp_path / "warehouse.duckdb"))
    return tmp_path


def task(name, **options):
    given = {"interval": None, "at": None, "run_id": "r1", "matrix": None, "inputs": None, "outputs": None}
    given |= {
        "publish": "",
        "force": False,
        "if_changed": False,
        "again": False,
        "target": None,
        "as_json": False,
    }
    runs.task(name, **{**given, **options})


@pytest.mark.parametrize(
    ("every", "at", "wanted"),
    [
        ("day", "2026-03-01T00:00:00+01:00", "2026-02-28/2026-03-01"),
        ("day", "2026-03-01T23:59:59-05:00", "2026-02-28/2026-03-01"),
        ("day", "2024-03-01T05:00:00Z", "2024-02-29/2024-03-01"),
        ("day", "2026-10-25T02:30:00+01:00[Europe/Paris]", "2026-10-24/2026-10-25"),
        ("day", "2026-01-01T06:00:00.123456789Z", "2025-12-31/2026-01-01"),
        ("day", "2026-01-01T06:00:00", "2025-12-31/2026-01-01"),
        ("week", "2026-01-05T04:00:00Z", "2025-12-29/2026-01-05"),
        ("week", "2026-01-04T04:00:00Z", "2025-12-22/2025-12-29"),
        ("month", "2026-03-31T04:00:00Z", "2026-02-01/2026-03-01"),
    ],
)
def test_an_instant_means_the_last_interval_that_was_over_on_its_day(every, at, wanted):
    pipeline = Pipeline.model_validate(
        {"version": 1, "name": "p", "interval": {"every": every}, "tasks": {"a": {"run": "x"}}}
    )
    assert str(intervals.task_interval(pipeline, None, at)) == wanted
    assert str(intervals.task_interval(pipeline, "2020-01-01/2020-01-02", at)) == "2020-01-01/2020-01-02"


@pytest.mark.parametrize("at", ["yesterday", "2026-02-30T00:00:00Z", "{{ trigger.date }}", "0"])
def test_what_is_no_instant_is_told(at):
    pipeline = Pipeline.model_validate({"version": 1, "name": "p", "tasks": {"a": {"run": "x"}}})
    with pytest.raises(InputError, match="is not an instant"):
        intervals.task_interval(pipeline, None, at)
    with pytest.raises(InputError, match="no interval is given"):
        intervals.task_interval(pipeline, "", "")


def test_kestra_reads_the_outputs_of_a_task_in_its_log(project, capsys):
    task("handed.find", at="2026-01-02T05:00:00Z", publish="kestra")
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("::")]
    assert lines == ['::{"outputs": {"tables": ["a", "b"]}}::']
    task("handed.find", at="2026-01-02T05:00:00Z", publish="kestra", run_id="r2")  # done already
    assert '::{"outputs": {"tables": ["a", "b"]}}::' in capsys.readouterr().out


def test_outputs_that_an_engine_hands_on_need_no_ledger(project, capsys):
    outputs = ['find.tables=["a", "b"]', "find.bucket=b-1"]
    task("handed.each", at="2026-01-02T05:00:00Z", matrix=["table=b"], outputs=outputs)
    assert "b 2026-01-01 b-1" in capsys.readouterr().out
    with pytest.raises(InputError, match="has no item"):
        task("handed.each", at="2026-01-02T05:00:00Z", matrix=["table=c"], outputs=outputs)
    with pytest.raises(InputError, match=r"`fimd\.tables` is no output"):
        task("handed.each", at="2026-01-02T05:00:00Z", matrix=["table=a"], outputs=["fimd.tables=[]"])


@pytest.fixture
def orchestra(monkeypatch):
    """A receiver in Orchestra's place; it keeps what it was sent."""
    got, answer = [], [200]

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            got.append((self.headers["Authorization"], body))
            self.send_response(answer[0])
            self.end_headers()

        def log_message(self, *args):
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv("ADELT_ORCHESTRA_ENDPOINT", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("ORCHESTRA_API_KEY", "key-123")
    monkeypatch.setenv("ORCHESTRA_TASK_RUN_ID", "task-1")
    yield got, answer
    server.shutdown()
    server.server_close()


def test_orchestra_is_sent_each_output(project, orchestra):
    got, answer = orchestra
    task("handed.find", at="2026-01-02T05:00:00Z", publish="orchestra")
    assert got == [
        (
            "Bearer key-123",
            {
                "event_type": "SET_OUTPUT",
                "task_run_id": "task-1",
                "output_name": "tables",
                "output_value": ["a", "b"],
            },
        )
    ]
    answer[0] = 403
    with pytest.raises(AdeltError, match="answered 403") as caught:
        publish.publish("orchestra", {"x": 1})
    assert caught.value.exit_code == 1
    assert "key-123" not in str(caught.value)


def test_outputs_that_cannot_be_handed_on_are_told_before_the_task_runs(project, monkeypatch, capsys):
    monkeypatch.delenv("ORCHESTRA_API_KEY", raising=False)
    for name in ("orchestra", "kestrel"):
        with pytest.raises(InputError):
            task("handed.find", at="2026-01-02T05:00:00Z", publish=name)
    assert not (project / "home").exists()
    (project / "pipelines/failing.yml").write_text(FAILING)
    with pytest.raises(typer.Exit):
        task("failing.find", at="2026-01-02T05:00:00Z", publish="kestra")
    assert "::" not in capsys.readouterr().out


def test_airflow_reads_outputs_and_tables_in_the_last_line(project, capsys, tmp_path, monkeypatch):
    task("handed.find", at="2026-01-02T05:00:00Z", publish="airflow")
    last = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert last == {"assets": [], "outputs": {"tables": ["a", "b"]}}
    pod = tmp_path / "xcom" / "return.json"
    pod.parent.mkdir()
    monkeypatch.setattr(publish, "POD", pod)
    publish.publish("airflow", {"x": 1}, ["raw_dv360.line_item"])
    assert json.loads(pod.read_text()) == {"assets": ["raw_dv360.line_item"], "outputs": {"x": 1}}


def test_again_does_what_this_run_did_and_not_what_another_did(project, capsys):
    def done_already(**options) -> bool:
        task("handed.find", at="2026-01-02T05:00:00Z", **options)
        return "done by run" in capsys.readouterr().out

    assert not done_already(run_id="r1")
    assert done_already(run_id="r1")  # a retry after the answer was lost
    assert not done_already(run_id="r1", again=True)  # somebody cleared it
    assert done_already(run_id="r2", again=True)


CHAINED = """
version: 1
name: chained
tasks:
  find: {run: "echo 'found=[1, 2]' > $ADELT_OUTPUT"}
  each:
    needs: [find]
    matrix: {one: "{{ tasks.find.outputs.found }}"}
    run: "echo rows={{ matrix.one }} > $ADELT_OUTPUT"
  sum_up: {needs: [each], run: "test '{{ tasks.each.outputs.rows }}' = 1,2"}
"""


def test_what_needs_a_task_that_ran_again_runs_again_as_in_a_local_run(project, capsys):
    text = "{version: 1, name: p, inputs: {n: {type: integer, default: 1}}, tasks: {load: {run: 'echo {{ inputs.n }}'}, "
    (project / "pipelines/p.yml").write_text(text + "models: {needs: [load], run: echo}}}")

    def run(run_id, n):
        for name in ("p.load", "p.models"):
            task(name, interval="2026-01-02/2026-01-03", run_id=run_id, inputs=[f"n={n}"])
        return capsys.readouterr().out.count("done by run")

    assert run("r1", 1) == 0
    assert run("r2", 1) == 2
    assert run("r3", 2) == 0  # other rows of the same day: the models are not done
    assert run("r3", 2) == 2


def test_what_needs_a_pipeline_that_ran_as_a_flow_of_its_own_runs_again(project, capsys):
    """Kestra runs the pipeline under an id of its own; here one that runs a third one does."""
    for name, tasks in {
        "whole": "inner: {pipeline: {name: inner}}, models: {needs: [inner], run: echo}",
        "inner": "innermost: {pipeline: {name: innermost}}",
        "innermost": "load: {run: 'echo {{ inputs.n }}'}",
    }.items():
        text = (
            f"{{version: 1, name: {name}, inputs: {{n: {{type: integer, default: 1}}}}, tasks: {{{tasks}}}}}"
        )
        (project / f"pipelines/{name}.yml").write_text(text)

    def done_already(name, run_id, n=1, day=2):
        interval = f"2026-01-0{day}/2026-01-0{day + 1}"
        task(name, interval=interval, run_id=run_id, inputs=[f"n={n}"])
        return "done by run" in capsys.readouterr().out

    def models(run_id):
        return done_already("whole.models", run_id)

    assert not done_already("innermost.load", "k1")
    assert not models("r1")
    assert done_already("innermost.load", "k2")
    assert models("r2")
    assert not done_already("innermost.load", "k3", n=2, day=3)
    assert models("r3")  # another day is no reason
    assert not done_already("innermost.load", "k4", n=2)
    assert not models("r4")
    assert models("r4")


def test_outputs_of_a_matrix_that_a_task_listed_reach_later_tasks(project):
    (project / "pipelines/chained.yml").write_text(CHAINED)
    here = settings.load()
    loaded = definition.find("chained", project)
    result = engine.run_pipeline(
        here, engine.RunRequest(loaded, Interval(date(2026, 1, 1), date(2026, 1, 2)))
    )
    assert result.tasks == dict.fromkeys(("find", "each", "sum_up"), "SUCCEEDED")
