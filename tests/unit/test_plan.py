"""Plans: the same definition, interval and inputs give the same tasks and keys, and nothing else matters."""

from datetime import timedelta
from pathlib import Path

import pytest

from adelt import definition
from adelt.errors import DefinitionErrors, InputError
from adelt.plan import instances, make_plan
from adelt.plan.plan import secrets_of
from adelt.window import parse_interval

DAY = parse_interval("2026-01-05/2026-01-06")
NEXT = parse_interval("2026-01-06/2026-01-07")


@pytest.fixture
def load(tmp_path):
    """Load a pipeline from its text."""
    (tmp_path / "pipelines").mkdir()

    def read(text: str, name: str = "p"):
        path: Path = tmp_path / "pipelines" / f"{name}.yml"
        path.write_text(f"version: 1\nname: {name}\n{text}", "utf-8")
        return definition.load(path, tmp_path)

    return read


MATRIX = """
inputs:
  partners: {type: array, items: integer, default: [1, 2]}
  days: {type: integer, default: 7}
  note: {type: string, default: hello}
interval: {lookback: "{{ inputs.days }}d"}
tasks:
  pull:
    matrix:
      partner: "{{ inputs.partners }}"
      table: [a, b]
      exclude: [{partner: 2, table: b}]
      include: [{partner: 9, table: z}]
    run: [echo, "{{ matrix.partner }}", "{{ matrix.table }}", "{{ window.start | ymd }}"]
  say: {needs: [pull], run: "echo {{ inputs.note }}"}
"""


def test_a_matrix_is_the_product_without_exclusions_and_with_inclusions(load):
    plan = make_plan(load(MATRIX), DAY, {})
    assert [task.id for task in plan.tasks] == [
        "pull[partner=1,table=a]",
        "pull[partner=1,table=b]",
        "pull[partner=2,table=a]",
        "pull[partner=9,table=z]",
        "say",
    ]
    assert plan.tasks[0].action == {"command": ["echo", 1, "a", "20251229"]}


def test_the_same_arguments_give_the_same_plan(load):
    assert make_plan(load(MATRIX), DAY, {}) == make_plan(load(MATRIX), DAY, {})


def keys(plan):
    return {task.id: task.key for task in plan.tasks}


def test_every_task_has_a_key_of_its_own(load):
    plan = make_plan(load(MATRIX), DAY, {})
    assert len(set(keys(plan).values())) == len(plan.tasks)


def test_a_key_depends_on_interval_inputs_and_environment(load):
    base = keys(make_plan(load(MATRIX), DAY, {}))
    assert not set(base.values()) & set(keys(make_plan(load(MATRIX), NEXT, {})).values())
    assert not set(base.values()) & set(keys(make_plan(load(MATRIX), DAY, {}, "other")).values())
    assert not set(base.values()) & set(keys(make_plan(load(MATRIX), DAY, {"days": 3})).values())


def test_a_key_does_not_depend_on_inputs_that_the_task_cannot_see(load):
    base = keys(make_plan(load(MATRIX), DAY, {}))
    noted = keys(make_plan(load(MATRIX), DAY, {"note": "bye"}))
    assert base["pull[partner=1,table=a]"] == noted["pull[partner=1,table=a]"]
    assert base["say"] != noted["say"]


def test_one_more_item_does_not_change_the_keys_of_the_others(load):
    base = keys(make_plan(load(MATRIX), DAY, {}))
    more = keys(make_plan(load(MATRIX), DAY, {"partners": [1, 2, 3]}))
    assert base.items() <= more.items()


def test_a_key_does_not_depend_on_the_code_but_the_digest_does(load):
    before, after = (
        make_plan(load(MATRIX), DAY, {}),
        make_plan(load(MATRIX.replace("echo", "printf")), DAY, {}),
    )
    assert keys(before) == keys(after)
    assert before.tasks[0].digest != after.tasks[0].digest


def test_the_window_begins_earlier_but_not_before_the_pipeline_does(load):
    assert str(make_plan(load(MATRIX), DAY, {}).window) == "2025-12-29/2026-01-06"
    late = load("interval: {lookback: 7d, start: 2026-01-02}\ntasks:\n  a: {run: x}\n")
    assert str(make_plan(late, DAY, {}).window) == "2026-01-02/2026-01-06"
    with pytest.raises(InputError, match="begins on 2026-01-02"):
        make_plan(late, parse_interval("2026-01-01/2026-01-02"), {})


def test_order_is_that_of_needs_then_of_the_file(load):
    plan = make_plan(
        load(
            "tasks:\n  c: {needs: [a], run: x}\n  b: {run: x}\n  a: {run: x}\n  d: {needs: [c, b], run: x}\n"
        ),
        DAY,
        {},
    )
    assert [group.name for group in plan.groups] == ["b", "a", "c", "d"]


def test_a_disabled_task_hands_its_needs_on(load):
    plan = make_plan(
        load("tasks:\n  a: {run: x}\n  b: {needs: [a], run: x, enabled: false}\n  c: {needs: [b], run: x}\n"),
        DAY,
        {},
    )
    assert [(group.name, group.needs) for group in plan.groups] == [("a", ()), ("c", ("a",))]


def test_selection_leaves_the_others_out(load):
    assert [task.id for task in make_plan(load(MATRIX), DAY, {}, select=("say",)).tasks] == ["say"]
    with pytest.raises(InputError) as error:
        make_plan(load(MATRIX), DAY, {}, select=("sya",))
    assert error.value.fix == "did you mean `say`?"


def test_a_condition_over_inputs_is_decided_in_the_plan(load):
    loaded = load(
        "inputs: {full: {type: boolean, default: false}}\ntasks:\n  a: {if: inputs.full == true, run: x}\n"
    )
    assert make_plan(loaded, DAY, {}).groups[0].skip
    assert not make_plan(loaded, DAY, {"full": "yes"}).groups[0].skip


def test_items_that_another_task_gives_are_expanded_later(load):
    loaded = load(
        "tasks:\n  list: {run: x}\n  each: {needs: [list], matrix: {f: '{{ tasks.list.outputs.files }}'},"
        " run: 'cat {{ matrix.f }}'}\n"
    )
    plan = make_plan(loaded, DAY, {})
    assert plan.groups[1].tasks is None
    found = instances(loaded, plan, plan.groups[1], {"list": {"files": ["x", "y"]}})
    assert [task.action["command"] for task in found] == ["cat x", "cat y"]
    with pytest.raises(InputError, match="is no list"):
        instances(loaded, plan, plan.groups[1], {"list": {"files": "x"}})
    with pytest.raises(InputError, match=r"there is no `tasks\.list\.outputs\.files`"):
        instances(loaded, plan, plan.groups[1], {"list": {}})


def test_the_same_item_twice_is_an_error(load):
    with pytest.raises(InputError, match=r"partner=1,table=a twice"):
        make_plan(load(MATRIX), DAY, {"partners": [1, 1]})


def test_retries_and_timeout_come_from_the_defaults(load):
    loaded = load(
        "defaults: {retries: {max: 3, delay: 1m}, timeout: 2h}\ntasks:\n  a: {run: x}\n"
        "  b: {run: x, retries: {max: 0}, timeout: 5s}\n"
    )
    a, b = make_plan(loaded, DAY, {}).groups
    assert (a.retry.max, a.retry.delay, a.timeout) == (3, 60, timedelta(hours=2).total_seconds())
    assert (b.retry.max, b.timeout) == (0, 5)


def test_secrets_do_not_appear_in_a_plan(load):
    loaded = load("tasks:\n  a: {run: 'x {{ secrets.KEY }}', env: {T: '{{ secrets.TOKEN }}'}}\n")
    task = make_plan(loaded, DAY, {}).tasks[0]
    assert (task.action["command"], dict(task.env)) == ("x {{ secrets.KEY }}", {"T": "{{ secrets.TOKEN }}"})
    assert secrets_of(loaded, "a") == ["KEY", "TOKEN"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"partnerz": "1"}, "there is no input `partnerz`"),
        ({"partners": "a,b"}, "input `partners`: `a` is not a integer"),
        ({"days": "soon"}, "input `days`: `soon` is not an integer"),
        ({"partners": "[1,"}, "is not a JSON list"),
    ],
)
def test_wrong_inputs_are_told(load, given, message):
    with pytest.raises(DefinitionErrors) as error:
        make_plan(load(MATRIX), DAY, given)
    assert message.replace("a integer", "an integer") in str(error.value)


def test_every_wrong_input_is_told_at_once(load):
    with pytest.raises(DefinitionErrors) as error:
        make_plan(load(MATRIX), DAY, {"x": "1", "days": "soon"})
    assert len(error.value.problems) == 2


def test_inputs_read_from_a_command_line_are_those_of_a_file(load):
    assert (
        make_plan(load(MATRIX), DAY, {"partners": "1,2", "days": "7"}).key
        == make_plan(load(MATRIX), DAY, {}).key
    )
    assert make_plan(load(MATRIX), DAY, {"partners": "[1, 2]"}).key == make_plan(load(MATRIX), DAY, {}).key
