"""An exported flow, run by a small stand-in for Kestra, does what `adelt run` does: same tasks, same items, same outputs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from adelt import definition, settings
from adelt.cli.commands import app
from adelt.engine import RunRequest, open_ledger, run_pipeline
from adelt.export import export, read_kestra
from adelt.export.kestra_model import ForEach
from adelt.window import parse_interval

PIPELINE = """
version: 1
name: handed
inputs:
  names: {type: array, default: [a b, "it's", '$(touch hacked)']}
  note: {type: string, default: null}
  days: {type: integer, default: 2}
interval: {every: day, lookback: "{{ inputs.days }}d"}
schedule: {cron: "0 5 * * *", timezone: Europe/Paris}
tasks:
  find:
    run: "echo '{\\"sizes\\": [1, 2], \\"bucket\\": \\"b 1\\"}' > $ADELT_OUTPUT"
  each:
    matrix: {name: "{{ inputs.names }}"}
    run: [sh, -c, 'echo "$0" >> "$OUT"', "{{ matrix.name }} {{ window.start | date }} {{ inputs.note }}"]
  product:
    needs: [each]
    matrix: {name: [x, "y z"], n: [1, 2], exclude: [{name: x, n: 2}]}
    run: [sh, -c, 'echo "$0" >> "$OUT"', "{{ matrix.name }}/{{ matrix.n }}"]
  sized:
    needs: [find]
    matrix: {size: "{{ tasks.find.outputs.sizes }}"}
    run: [sh, -c, 'echo "$0" >> "$OUT"', "{{ matrix.size }} in {{ tasks.find.outputs.bucket }}"]
  fails:
    needs: [find]
    run: ["false"]
  after:
    needs: [fails]
    run: [sh, -c, 'echo never >> "$OUT"']
  always:
    needs: [after]
    if: always
    run: [sh, -c, 'echo always >> "$OUT"']
"""
PRINT = f"{sys.executable} -c 'import json,sys; print(json.dumps(sys.argv[1:]))'"


@pytest.fixture
def project(tmp_path, monkeypatch):
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines/handed.yml").write_text(PIPELINE)
    monkeypatch.setenv("ADELT_PROJECT", str(tmp_path))
    monkeypatch.setenv("ADELT_TARGET", "local")
    monkeypatch.setenv(
        "ADELT_WAREHOUSE", str(tmp_path / "warehouse.duckdb")
    )  # part of the key of a task's work
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Kestra:
    """What of Kestra's expressions and task order our flows use."""

    def __init__(self, flow, trigger: str) -> None:
        self.flow, self.trigger = flow, trigger
        self.inputs = {one.id: one.defaults for one in flow.inputs if one.defaults is not None}
        self.outputs: dict[str, dict] = {}
        self.states: dict[str, str] = {}

    def value(self, text: str, item=None):
        """The value of the inside of an expression."""
        text = text.strip()
        if text == "render(vars.adelt_at)":
            return self.trigger  # `trigger.date`, in the zone of the schedule
        if text == "execution.id":
            return "execution-1"
        if text == "taskrun.value":
            return item if isinstance(item, str) else json.dumps(item)
        if found := re.fullmatch(r"fromJson\(taskrun\.value\)\.(\w+)", text):
            return item[found[1]]
        if found := re.fullmatch(r"\(?outputs\['(\w+)'\]\.vars\['(\w+)'\](?: \?\? null\))?", text):
            return self.outputs[found[1]].get(found[2])
        if found := re.fullmatch(r"(.*) \| toJson", text):
            return json.dumps(self.value(found[1], item))
        if found := re.fullmatch(r"inputs\.(\w+)(?: \?\? '')?", text):
            return self.inputs[found[1]] if "??" not in text else self.inputs.get(found[1], "")
        raise AssertionError(f"the stand-in does not know {text}")

    def text(self, text: str, item=None) -> str:
        return re.sub(r"\{\{(.*?)\}\}", lambda match: str(self.value(match[1], item)), text)

    def run(self) -> None:
        for entry in self.flow.tasks[0].tasks:  # in an order in which they can run
            task = entry.task
            if task.run_if and not self.holds(task.run_if):
                self.states[task.id] = "SKIPPED"
                continue
            if isinstance(task, ForEach):
                values = self.value(task.values[2:-2]) if isinstance(task.values, str) else task.values
                codes = [
                    self.command(task.tasks[0], one if isinstance(one, dict) else str(one)) for one in values
                ]
            else:
                codes = [self.command(task, None)]
            self.states[task.id] = "WARNING" if any(codes) else "SUCCESS"

    def holds(self, expression: str) -> bool:
        text = re.sub(r"tasks\.(\w+)\.state", r"S['\1']", expression[2:-2].strip())
        return bool(eval(text, {"S": self.states, "__builtins__": {}}))

    def command(self, task, item) -> int:
        env = {name: self.text(value, item) for name, value in task.env.items()}
        shell = task.commands[0].replace("{{ vars.adelt }}", PRINT)
        words = json.loads(
            subprocess.run(shell, shell=True, env=env, capture_output=True, text=True, check=True).stdout
        )
        result = CliRunner().invoke(app, words, env=env)
        for line in result.output.splitlines():
            if found := re.fullmatch(r"::(\{.*\})::", line):
                self.outputs[task.id] = json.loads(found[1])["outputs"]
        return result.exit_code


def done(home: Path) -> dict[str, tuple]:
    """What the ledger of a home says of each task: how it ended, and the key of its work."""
    ledger = open_ledger(settings.load())
    [run] = ledger.runs(5, "")
    assert run["interval_start"] == "2026-03-28"
    return {
        one["instance"]: (one["status"], one["key"], one["exit_code"])
        for one in ledger.tasks(run["id"])
        if one["attempt"]
    }


def test_a_flow_does_what_the_local_run_does(project, monkeypatch):
    out = {}
    found = {}
    monkeypatch.setenv("ADELT_HOME", str(project / "local"))
    monkeypatch.setenv("OUT", str(project / "local.txt"))
    loaded = definition.find("handed", project)
    run_pipeline(settings.load(), RunRequest(loaded, parse_interval("2026-03-28/2026-03-29")))
    out["local"], found["local"] = (project / "local.txt").read_text(), done(project / "local")

    monkeypatch.setenv("ADELT_HOME", str(project / "kestra"))
    monkeypatch.setenv("OUT", str(project / "kestra.txt"))
    text = export("kestra", [loaded], project).files["deploy/kestra/flows/handed.yml"]
    flow = read_kestra.load(text)
    kestra = Kestra(flow, "2026-03-29T05:00:00+02:00")  # the morning the clock went forward
    kestra.run()
    out["kestra"], found["kestra"] = (project / "kestra.txt").read_text(), done(project / "kestra")

    assert sorted(out["kestra"].splitlines()) == sorted(out["local"].splitlines())
    assert "it's 2026-03-26 " in out["local"]
    assert "2 in b 1" in out["local"]
    assert found["kestra"] == found["local"]
    assert len(found["local"]) == 1 + 3 + 3 + 2 + 1 + 1
    assert kestra.states["fails"] == "WARNING"
    assert (kestra.states["after"], kestra.states["always"]) == ("SKIPPED", "SUCCESS")
    assert not (project / "hacked").exists()
