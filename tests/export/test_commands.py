"""The commands in exported files: run by a shell, they are the words of the local run, whatever the values."""

import json
import re
import subprocess
import sys
from datetime import date
from pathlib import Path

import pytest
from export_definitions import definition
from hypothesis import given, settings
from hypothesis import strategies as st

from adelt.engine import task_command
from adelt.export import export, read_kestra, read_orchestra
from adelt.plan import make_plan
from adelt.window import Interval

NOWHERE = Path("there-is-no-such-project")
DAY = Interval(date(2026, 1, 1), date(2026, 1, 2))
PRINT = f"{sys.executable} -c 'import json,sys; print(json.dumps(sys.argv[1:]))'"
NASTY = [
    "",
    "a b",
    "it's",
    '"x"',
    "$(touch hacked)",
    "`id`",
    "a;b",
    "*",
    "-x",
    "--force",
    "é\n2",
    "\\",
    "${HOME}",
]


def made(label: str | None, table: str):
    return definition(
        {
            "version": 1,
            "name": "made",
            "inputs": {
                "label": {"type": "string", "default": label},
                "tables": {"type": "array", "default": [table]},
                "full": {"type": "boolean", "default": True},
            },
            "tasks": {
                "load": {
                    "matrix": {"table": [table]},
                    "run": ["echo", "{{ matrix.table }}", "{{ inputs.label }}"],
                }
            },
        }
    )


def locally(pipeline) -> list[str]:
    plan = make_plan(pipeline, DAY, {})
    words = task_command(plan, plan.tasks[0], "run-1")[4:]
    at = words.index("--interval")
    return [*words[:at], "--at", "2026-01-02T05:00:00+01:00", *words[at + 2 :]]


def in_shell(command: str, env: dict[str, str], tmp_path: Path) -> list[str]:
    done = subprocess.run(
        command, shell=True, env=env, cwd=tmp_path, capture_output=True, text=True, check=True, timeout=30
    )
    assert not (tmp_path / "hacked").exists()
    return json.loads(done.stdout)


@pytest.mark.parametrize("text", NASTY)
def test_kestra_calls_what_the_local_run_calls(text, tmp_path):
    pipeline = made(text, text or "t")
    files = export("kestra", [pipeline], NOWHERE).files
    flow = read_kestra.load(files["deploy/kestra/flows/made.yml"])
    task = flow.tasks[0].tasks[0].task.tasks[0]
    values = {
        "ADELT_AT": "2026-01-02T05:00:00+01:00",
        "ADELT_RUN_ID": "run-1",
        "MATRIX_table": text or "t",
        "INPUT_label": text,
        "INPUT_tables": json.dumps([text or "t"]),
        "INPUT_full": "true",
    }
    assert set(values) == set(task.env)
    [command] = task.commands
    found = in_shell(command.replace("{{ vars.adelt }}", PRINT), values, tmp_path)
    assert found == locally(pipeline)


def test_an_input_without_a_value_is_not_handed_on(tmp_path):
    pipeline = made(None, "t")
    files = export("kestra", [pipeline], NOWHERE).files
    task = read_kestra.load(files["deploy/kestra/flows/made.yml"]).tasks[0].tasks[0].task.tasks[0]
    command = task.commands[0].replace("{{ vars.adelt }}", PRINT)
    env = {"ADELT_AT": "2026-01-02T05:00:00+01:00", "ADELT_RUN_ID": "run-1", "MATRIX_table": "t"}
    env |= {"INPUT_tables": '["t"]', "INPUT_full": "true", "INPUT_label": ""}
    assert in_shell(command, env, tmp_path) == locally(pipeline)
    given = in_shell(command, {**env, "INPUT_label": "x y"}, tmp_path)
    assert given == [*locally(pipeline), "-i", "label=x y"]


def filled(text: str, values: dict[str, str]) -> str:
    """A text as Orchestra fills it in: values are put there as they are."""
    return re.sub(r"\$\{\{ (.*?) \}\}", lambda match: values[match[1]], text)


@pytest.mark.parametrize("text", [text for text in NASTY if not set(text) & set('"\\\n')])
def test_orchestra_calls_what_the_local_run_calls(text, tmp_path):
    pipeline = made(text, text or "t")
    [file] = export("orchestra", [pipeline], NOWHERE).files.values()
    group = read_orchestra.load(file).pipeline["load"]
    parameters = group.tasks["load-run"].parameters
    [item] = group.matrix.inputs["item"]
    values = {
        "inputs.adelt_at": "2026-01-02T05:00:00+01:00",
        "ORCHESTRA.PIPELINE_RUN_ID": "run-1",
        "ENV.ADELT_TARGET": "dev",
        "MATRIX.item['table']": item["table"],
        "inputs.label": text,
        "inputs.tables": text or "t",
        "inputs.full": "true",
    }
    env = json.loads(filled(parameters["environment_variables"], values))
    # The words are those of a shell within a shell, so the program is one word here.
    program = tmp_path / "adelt"
    program.write_text(f'#!/bin/sh\nexec {PRINT} "$@"\n')
    program.chmod(0o755)
    found = in_shell(parameters["command"].replace("uv run --no-sync adelt", str(program)), env, tmp_path)
    wanted = locally(pipeline)
    tables = wanted.index("tables=" + json.dumps([text or "t"]))
    assert found == [*wanted[:tables], f"tables={text or 't'}", *wanted[tables + 1 :]]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=8), st.text(min_size=1, max_size=8))
def test_orchestra_is_told_json_or_the_text_is_refused(label, table):
    try:
        pipeline = made(label, table)
    except AssertionError:  # such as a template in it
        return
    made_ = export("orchestra", [pipeline], NOWHERE)
    group = read_orchestra.load(next(iter(made_.files.values()))).pipeline["load"]
    missing = {note.where for note in made_.notes if note.kind == "missing"}
    assert bool(group.paused) == ("tasks.load.matrix" in missing)
    if missing:
        return
    text = group.tasks["load-run"].parameters["environment_variables"]
    env = json.loads(re.sub(r"\$\{\{ inputs\.label \}\}", lambda _: label, text))
    assert env["INPUT_label"] == label
