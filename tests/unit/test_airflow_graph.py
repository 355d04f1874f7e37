"""What Airflow is given, without Airflow: the graph played by its rules, and what the tasks of a run are told."""

import json
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from export_definitions import pipelines
from hypothesis import given, settings
from hypothesis import strategies as st

from adelt import definition
from adelt.definition.model import Pipeline
from adelt.errors import AdeltError, InputError
from adelt.export import airflow_run as run
from adelt.export.airflow import export
from adelt.export.airflow_graph import PLAN, VERDICT, graph
from adelt.export.shape import of_definition
from adelt.plan import item_id, make_plan
from adelt.run.schedule import Scheduler, State
from adelt.window import Interval, latest_complete

ROOT, GOLDEN = Path(__file__).parents[2], Path(__file__).parents[1] / "export" / "golden"
FILES = [(project, path) for project in (ROOT, GOLDEN) for path in definition.find_all(project)]
NAMES = {"success": "SUCCEEDED", "failed": "FAILED", "upstream_failed": "BLOCKED", "skipped": "SKIPPED"}


def loaded(text: str) -> definition.Definition:
    import yaml

    return definition.Definition(Pipeline.model_validate(yaml.safe_load(text)), "p.yml", "0" * 64)


def started(instant=datetime(2026, 1, 29, 5, 0, tzinfo=UTC), dag_id="d", run_id="r", **params) -> run.Started:
    return run.Started(dag_id, run_id, instant, params)


def airflow_states(made: definition.Definition, told: dict, fails: set[str]) -> dict[str, str]:
    """States of a run by the rules of Airflow's documentation; a task that may fail ends green."""
    states: dict[str, str] = {}
    for node in graph(made.pipeline):
        above = [states[one] for one in node.upstream]
        bad = any(state in ("failed", "upstream_failed") for state in above)
        if f"{node.id}-if" in node.upstream and told[f"{node.id}-if"] is False:
            states[node.id] = "skipped"  # at once, whatever else it waits for
        elif node.rule == "all_success" and (bad or "skipped" in above):
            states[node.id] = "upstream_failed" if bad else "skipped"
        elif node.rule == "none_failed" and bad:
            states[node.id] = "upstream_failed"
        elif node.rule == "one_failed" and not bad:
            states[node.id] = "skipped"
        else:
            fails_now = (
                node.kind == "task" and node.id in fails and not made.pipeline.tasks[node.id].allow_failure
            )
            states[node.id] = "failed" if fails_now else "success"
    return states


def local_states(made: definition.Definition, fails: set[str]) -> dict[str, str]:
    scheduler = Scheduler(make_plan(made, Interval(*_day()), {}, "x").groups, 100)
    while not scheduler.over:
        scheduler.advance()
        for task in scheduler.ready():
            scheduler.started(task.id)
            scheduler.finished(task.id, State.FAILED if task.task in fails else State.SUCCEEDED)
    return {
        name: "SUCCEEDED" if state is State.WARNING else str(state)
        for name, state in scheduler.states().items()
    }


def _day():
    found = latest_complete(datetime(2026, 1, 29, tzinfo=UTC).date(), "day")
    return found.start, found.end


@settings(max_examples=150, deadline=None)
@given(made=pipelines(fan_out=False), data=st.data())
def test_whatever_fails_airflow_ends_as_the_local_run_does(made, data):
    names = [name for name, task in made.pipeline.tasks.items() if task.enabled]
    fails = set(data.draw(st.lists(st.sampled_from(names), unique=True))) if names else set()
    states = airflow_states(made, run.handed_out(made, started()), fails)
    ours = {name: NAMES[states[name]] for name in names}
    wanted = local_states(made, fails)
    assert ours == wanted
    # The run: Airflow looks at the nodes that nothing waits for, adelt at all of them.
    waited_for = {one for node in graph(made.pipeline) for one in node.upstream}
    leaves = [state for node, state in states.items() if node not in waited_for]
    failed = any(state in ("failed", "upstream_failed") for state in leaves)
    assert failed == any(state in ("FAILED", "BLOCKED") for state in wanted.values())


@pytest.mark.parametrize(("project", "path"), FILES, ids=lambda value: getattr(value, "stem", ""))
def test_tasks_are_given_what_the_plan_has(project, path):
    made = definition.load(path, project)
    inputs = {name: "x" for name, spec in made.pipeline.inputs.items() if spec.required}
    instant = datetime(2026, 2, 3, 5, tzinfo=UTC)
    told = run.handed_out(made, started(instant, **inputs))
    interval = latest_complete(instant.date(), made.pipeline.interval.every)
    for group in make_plan(made, interval, inputs, "x").groups:
        if run.needs_outputs(made.pipeline, group.name):
            assert group.name not in told
        elif made.pipeline.tasks[group.name].matrix:
            assert [one[run.ITEM] for one in told[group.name]] == [item_id(task.item) for task in group.tasks]
        else:
            assert told[group.name]["ADELT_INTERVAL"] == str(interval)


@settings(max_examples=60, deadline=None)
@given(made=pipelines())
def test_random_matrices_are_given_their_items(made):
    told = run.handed_out(made, started())
    found = {
        name: tuple(sorted(one[run.ITEM] for one in told[name]))
        for name, task in made.pipeline.tasks.items()
        if task.matrix and name in told
    }
    wanted = of_definition(made).items
    assert found == {name: items for name, items in wanted.items() if isinstance(items, tuple)}


def test_the_command_says_each_item_and_input_and_no_value_is_code(tmp_path):
    made = loaded(
        """
        {version: 1, name: p, inputs: {note: {type: string}, more: {type: string, default: null}},
         tasks: {t: {matrix: {text: ["$(touch hacked)", "a b"]}, run: [echo]}}}
        """
    )
    evil = '"; touch hacked; $(touch hacked) `touch hacked`'
    for item in run.handed_out(made, started(note=evil))["t"]:
        done = subprocess.run(
            ["bash", "-c", run.script(made, "t", "printf '%s\\n'")],
            env={**item, "PATH": "/usr/bin:/bin"}, cwd=tmp_path, capture_output=True, text=True, check=True,
        )  # fmt: skip
        words = done.stdout.splitlines()
        assert words[:2] == ["task", "p.t"]
        assert f"text={item['MATRIX_text']}" in words
        assert f"note={evil}" in words
        assert not [word for word in words if word.startswith("more=")]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("every", "instant", "wanted"),
    [
        ("day", "2026-01-29T05:00+00:00", "2026-01-28/2026-01-29"),
        ("day", "2024-03-01T05:00+00:00", "2024-02-29/2024-03-01"),
        ("day", "2026-03-29T01:30+00:00", "2026-03-28/2026-03-29"),  # Paris skips an hour
        ("day", "2026-10-25T00:30+00:00", "2026-10-24/2026-10-25"),  # and has one twice
        ("day", "2026-01-28T23:30+00:00", "2026-01-28/2026-01-29"),  # it is the 29th in Paris
        ("week", "2026-01-05T04:00+00:00", "2025-12-29/2026-01-05"),
        ("month", "2026-03-31T04:00+00:00", "2026-02-01/2026-03-01"),
    ],
)
def test_a_run_is_for_the_last_interval_that_was_over_where_its_schedule_is(every, instant, wanted):
    made = loaded(f"{{version: 1, name: p, interval: {{every: {every}}}, tasks: {{t: {{run: [echo]}}}}}}")
    there = datetime.fromisoformat(instant).astimezone(ZoneInfo("Europe/Paris"))
    assert str(run.interval_of(made.pipeline, started(there))) == wanted
    assert (
        str(run.interval_of(made.pipeline, started(adelt_interval="2020-01-01/2020-03-01")))
        == "2020-01-01/2020-03-01"
    )
    assert str(run.interval_of(made.pipeline, started(adelt_interval=there.isoformat()))) == wanted


@pytest.mark.parametrize(
    ("start", "end", "wanted"),
    [
        ("2026-01-10T00:00+00:00", "2026-01-20T00:00+00:00", "2026-01-10/2026-01-20"),
        ("2026-01-10T05:00+00:00", "2026-01-20T05:00+00:00", "2026-01-10/2026-01-20"),  # midnight in New York
        ("2024-02-29T00:00+00:00", "2024-03-01T00:00+00:00", "2024-02-29/2024-03-01"),
        (
            "2026-03-08T05:00+00:00",
            "2026-03-09T04:00+00:00",
            "2026-03-08/2026-03-09",
        ),  # a day of 23 hours there
    ],
)
def test_a_data_interval_that_was_chosen_is_handed_on(start, end, wanted):
    made = loaded("{version: 1, name: p, tasks: {t: {run: [echo]}}}")
    own = (datetime.fromisoformat(start), datetime.fromisoformat(end))
    instant = own[1].astimezone(ZoneInfo("America/New_York"))
    told = run.handed_out(made, run.Started("d", "r", instant, {}, own))
    assert told["t"]["ADELT_INTERVAL"] == wanted
    asked = run.Started("d", "r", instant, {run.INTERVAL: "2025-01-01/2025-01-02"}, own)
    assert run.handed_out(made, asked)["t"]["ADELT_INTERVAL"] == "2025-01-01/2025-01-02"


def test_runs_of_the_ledger_are_those_of_airflow():
    ids = {started(dag_id=dag, run_id=one).adelt_run for dag in ("a", "b") for one in ("1", "2")}
    assert len(ids) == 4
    assert started().adelt_run == started().adelt_run


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"days": 100}, "above the maximum"),
        ({"days": "many"}, "is not an integer"),
        ({"days": 1, "adelt_interval": "yesterday"}, "is not an instant"),
        ({"days": 1, "adelt_interval": "2026-01-02/2026-01-01"}, "ends"),
        ({}, "days"),
        ({"days": 1, "adelt_interval": "2019-01-01/2019-01-02"}, "begins on 2020-01-01"),
    ],
)
def test_bad_input_is_told_before_anything_runs(params, message):
    made = loaded(
        "{version: 1, name: p, interval: {start: 2020-01-01}, inputs: {days: {type: integer, max: 60}},"
        " tasks: {t: {run: [echo]}}}"
    )
    with pytest.raises(AdeltError, match=message):
        run.handed_out(made, started(**params))


HANDED = """
{version: 1, name: p, tasks: {
  find: {run: [x]},
  each: {needs: [find], matrix: {one: "{{ tasks.find.outputs.found }}"}, run: [x]},
  sum: {needs: [each], run: [x, "{{ tasks.each.outputs.rows }}"]}}}
"""


def test_outputs_become_items_and_variables():
    made = loaded(HANDED)
    items = run.handed_on(made, started(), "each", {"find": {"found": ["a", "b"]}})
    assert [one[run.ITEM] for one in items] == ["one=a", "one=b"]
    assert json.loads(items[0]["OUTPUT_find__found"]) == ["a", "b"]
    outputs = {"each": run.merged([{"rows": 1}, {}, {"rows": 3}])}
    assert json.loads(run.handed_on(made, started(), "sum", outputs)["OUTPUT_each__rows"]) == [1, 3]
    assert '--output "each.rows=$OUTPUT_each__rows"' in run.script(made, "sum", "adelt")
    with pytest.raises(InputError, match="has put out no `found`"):
        run.handed_on(made, started(), "each", {"find": {}})


def test_an_empty_matrix_is_one_item_that_does_nothing():
    made = loaded(
        "{version: 1, name: p, inputs: {xs: {type: array, default: []}},"
        ' tasks: {t: {matrix: {x: "{{ inputs.xs }}"}, run: [x]}}}'
    )
    [item] = run.handed_out(made, started())["t"]
    done = subprocess.run(
        ["bash", "-c", run.script(made, "t", "false")], env=item, capture_output=True, check=True
    )
    assert b"no items" in done.stdout


def test_pools_and_notes():
    text = """
    {version: 1, name: NAME, concurrency: {group: api, tasks: SLOTS, on_limit: skip},
     schedule: [{cron: "0 5 * * *", catchup: true}, {cron: "0 6 * * *"}],
     tasks: {t: {allow_failure: true, matrix: {x: [1], fail_fast: true}, run: [x]}}}
    """
    made = [
        loaded(text.replace("NAME", name).replace("SLOTS", slots)) for name, slots in (("a", "3"), ("b", "2"))
    ]
    found = export(made, Path())
    assert json.loads(found.files["deploy/airflow/pools.json"])["api"]["slots"] == 2
    assert {(note.where, note.kind) for note in found.notes if note.pipeline == "a"} == {
        ("concurrency.group", "approximated"),
        ("concurrency.on_limit", "missing"),
        ("schedule", "approximated"),
        ("schedule.catchup", "approximated"),
        ("tasks.t.allow_failure", "approximated"),
        ("tasks.t.matrix.fail_fast", "missing"),
    }
    assert export(made[:1], Path()).files == export(made[:1], Path("elsewhere")).files


def test_a_run_fails_though_its_last_task_was_not_wanted():
    made = loaded(
        "{version: 1, name: p, inputs: {full: {type: boolean, default: false}},"
        " tasks: {a: {run: [x]}, b: {needs: [a], if: inputs.full, run: [x]}}}"
    )
    states = airflow_states(made, run.handed_out(made, started()), {"a"})
    assert states == {
        PLAN: "success",
        "a": "failed",
        "b-if": "success",
        "b": "skipped",
        VERDICT: "upstream_failed",
    }


def test_nodes_of_ours_cannot_be_tasks_of_a_definition():
    made = loaded("{version: 1, name: p, tasks: {t: {if: always, run: [x]}}}")
    assert [node.id for node in graph(made.pipeline)] == [PLAN, "t", VERDICT]
    with pytest.raises(ValueError, match="pattern"):
        loaded("{version: 1, name: p, tasks: {adelt-plan: {run: [x]}}}")


def test_tasks_that_are_not_selected_succeed_and_do_nothing():
    made = loaded("""
        version: 1
        name: p
        tasks:
          a: {run: echo}
          b: {needs: [a], matrix: {x: ["1", "2"]}, run: echo}
          c: {needs: [b], run: echo}
    """)
    told = run.handed_out(made, started(adelt_select=["c"]))
    assert (told["a"]["ADELT_NOTHING"], len(told["b"])) == ("a is not selected", 1)
    assert "ADELT_NOTHING" not in told["c"]
    script = run.script(made, "a", "echo adelt")
    done = subprocess.run(["bash", "-euc", script], env=told["a"], capture_output=True, text=True, check=True)
    assert done.stdout == "a is not selected\n"
    with pytest.raises(InputError, match="no task `d`"):
        run.handed_out(made, started(adelt_select=["d"]))
