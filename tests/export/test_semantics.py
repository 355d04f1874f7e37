"""What runs and what is skipped after failures: the conditions we write, evaluated by each engine's rules, say what the
local scheduler does.

The rules (from the engines' documentation and source): Kestra's Dag starts a task once what it depends on is over, unless
one of its tasks has failed; a task that may fail ends as WARNING; a task whose `runIf` is false is SKIPPED. Orchestra
starts a group once what it depends on is over if its condition holds; without one, if all of it succeeded.
"""

import re
from datetime import date
from pathlib import Path

import pytest
from export_definitions import INPUTS, pipelines
from export_definitions import definition as build
from hypothesis import given, settings
from hypothesis import strategies as st

from adelt.export import export, read_kestra, read_orchestra
from adelt.export.kestra_model import Fail
from adelt.plan import make_plan
from adelt.plan.plan import kept
from adelt.run import Scheduler, State
from adelt.window import Interval

NOWHERE = Path("there-is-no-such-project")
DAY = Interval(date(2026, 1, 1), date(2026, 1, 2))


def locally(definition, inputs, failing) -> dict[str, State]:
    plan = make_plan(definition, DAY, inputs)
    scheduler = Scheduler(plan.groups, 9)
    while not scheduler.over:
        scheduler.advance()
        for task in scheduler.ready():
            scheduler.started(task.id)
            scheduler.finished(task.id, State.FAILED if task.task in failing else State.SUCCEEDED)
    return scheduler.states()


def truth(expression: str, states: dict[str, str], inputs: dict) -> bool:
    """An expression of either engine, evaluated as Python."""
    text = re.sub(r"^\$?\{\{|\}\}$", "", expression.strip())
    text = re.sub(r"tasks\.(\w+)\.state", r"S['\1']", text)
    text = re.sub(r"task_groups\['(\w+)'\]\.(any|all)\(\)\.status", r"S['\1']", text)
    text = re.sub(r"\binputs\.(\w+)", r"I['\1']", text)
    names = {"S": states, "I": inputs, "true": True, "false": False, "null": None, "__builtins__": {}}
    return bool(eval(text.strip(), names))


@settings(max_examples=120, deadline=None)
@given(pipelines(fan_out=False), st.booleans(), st.sampled_from([1, 7]), st.randoms(use_true_random=False))
def test_the_same_tasks_run(definition, full, days, chance):
    failing = {name for name in definition.pipeline.tasks if chance.random() < 0.4}
    compare(definition, {"full": full, "days": days}, failing)


@pytest.mark.parametrize("middle", ["success", "always", "failure", "inputs.full == true"])
@pytest.mark.parametrize("last", ["success", "always", "failure"])
@pytest.mark.parametrize("allowed", [False, True])
@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("failing", [set(), {"a"}, {"b"}, {"a", "c"}])
def test_a_failure_reaches_as_far_as_locally(middle, last, allowed, full, failing):
    tasks = {
        "a": {"run": "x", "allow_failure": allowed},
        "b": {"needs": ["a"], "if": middle, "run": "x"},
        "c": {"needs": ["b"], "run": "x"},
        "d": {"needs": ["c"], "if": last, "run": "x"},
    }
    data = {"version": 1, "name": "made", "inputs": INPUTS, "tasks": tasks}
    compare(build(data), {"full": full, "days": 7}, failing)


def test_many_ways_to_a_task_are_not_walked_one_by_one():
    names = [f"t{index}" for index in range(60)]
    tasks = {name: {"run": "x", "needs": names[:index]} for index, name in enumerate(names)}
    tasks["t59"]["if"] = "failure"
    made = build({"version": 1, "name": "made", "tasks": tasks})
    compare(made, {}, {"t0"})


def compare(definition, inputs, failing):
    wanted = locally(definition, inputs, failing)
    order = list(kept(definition.pipeline))

    [text] = [t for n, t in export("kestra", [definition], NOWHERE).files.items() if n.endswith("made.yml")]
    flow = read_kestra.load(text)
    entries = {entry.task.id: entry.task for entry in flow.tasks[0].tasks}
    states: dict[str, str] = {}
    for name in order:
        task = entries[name]
        assert task.allow_failure
        runs = task.run_if is None or truth(task.run_if, states, inputs)
        states[name] = ("WARNING" if name in failing else "SUCCESS") if runs else "SKIPPED"
    as_kestra = {"SUCCEEDED": "SUCCESS", "FAILED": "WARNING", "WARNING": "WARNING", "BLOCKED": "SKIPPED"}
    assert states == {name: as_kestra.get(state, str(state)) for name, state in wanted.items()}
    verdicts = [task for task in flow.tasks if isinstance(task, Fail)]
    failed = any(truth(verdict.condition, states, inputs) for verdict in verdicts)
    assert failed == (State.FAILED in wanted.values())

    [text] = export("orchestra", [definition], NOWHERE).files.values()
    groups = read_orchestra.load(text).pipeline
    states = {}
    for name in order:
        group = groups[name]
        [job] = group.tasks.values()
        good = all(states[need] in ("SUCCEEDED", "WARNING") for need in group.depends_on)
        runs = good if group.condition is None else truth(group.condition, states, inputs)
        failure = "WARNING" if job.treat_failure_as_warning else "FAILED"
        states[name] = (failure if name in failing else "SUCCEEDED") if runs else "SKIPPED"
    assert states == {name: "SKIPPED" if state == "BLOCKED" else str(state) for name, state in wanted.items()}
