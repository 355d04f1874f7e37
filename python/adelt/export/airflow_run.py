"""What the tasks of an Airflow run are given: computed by the first task of the run, from the plan that adelt makes itself."""

import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, time, tzinfo
from typing import Any

from adelt.definition import Definition, templates
from adelt.definition.model import Pipeline
from adelt.errors import InputError
from adelt.export.command import shell
from adelt.export.conditions import nullable, used_outputs
from adelt.export.shape import axis_paths
from adelt.plan import Group, Plan, PlannedTask, instances, item_id, make_plan
from adelt.plan.command import task_words
from adelt.plan.plan import kept
from adelt.window import Interval, latest_complete, parse_instant, parse_interval

# Params of every DAG; inputs may not be called so.
INTERVAL, FORCE, SELECT = "adelt_interval", "adelt_force", "adelt_select"
ITEM, NOTHING = "ADELT_ITEM", "ADELT_NOTHING"
Env = dict[str, str]


@dataclass(frozen=True)
class Started:
    """A run as Airflow knows it.

    Attributes:
        dag_id: The DAG.
        run_id: The run.
        instant: End of its data interval, or when it was started by hand; in the time zone of the schedule.
        params: Its params: inputs of the pipeline, and `adelt_interval`, `adelt_force` and `adelt_select`.
        own: The data interval, if whoever started the run chose one that is not the schedule's.
    """

    dag_id: str
    run_id: str
    instant: datetime
    params: Mapping[str, Any]
    own: tuple[datetime, datetime] | None = None

    def does(self, task: str) -> bool:
        """Whether a task is among those that were selected; without a selection all of them are."""
        selected = self.params.get(SELECT)
        return not selected or task in selected

    @property
    def adelt_run(self) -> str:
        """The id of the run in adelt's ledger: the same for the same run, and another for every other."""
        return str(uuid.uuid5(uuid.NAMESPACE_URL, f"airflow:{self.dag_id}/{self.run_id}"))


def interval_of(pipeline: Pipeline, started: Started) -> Interval:
    """The interval that was asked for, as a param or as data interval, else the last one that was over on the instant's day.

    Raises:
        InputError: `adelt_interval` is not what it must be.
    """
    asked = str(started.params.get(INTERVAL) or "").strip()
    if "/" in asked:
        return parse_interval(asked, INTERVAL)
    if started.own and not asked:
        return _days(*started.own, started.instant.tzinfo)
    instant = parse_instant(asked, INTERVAL) if asked else started.instant
    return latest_complete(instant.date(), pipeline.interval.every)


def _days(start: datetime, end: datetime, zone: tzinfo | None) -> Interval:
    """The days of a data interval: those of UTC if it begins and ends at midnight there, else those of the schedule."""
    ends = [start.astimezone(UTC), end.astimezone(UTC)]
    if any(one.time() != time() for one in ends):
        ends = [one.astimezone(zone) for one in ends]
    first, last = (one.date().isoformat() for one in ends)
    return parse_interval(f"{first}/{last}", "data interval")


def plan_of(definition: Definition, started: Started) -> Plan:
    """The plan of a run.

    Raises:
        InputError: An input or the interval is wrong.
    """
    names = definition.pipeline.inputs
    given = {name: value for name, value in started.params.items() if name in names and value is not None}
    return make_plan(definition, interval_of(definition.pipeline, started), given, "airflow")


def handed_out(
    definition: Definition, started: Started, more: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """What the first task of a run tells the others.

    Args:
        definition: The pipeline.
        started: The run.
        more: Variables that every task gets as well.

    Returns:
        By task its variables, or a list of them for a matrix; by `TASK-if` whether a condition over inputs holds; by
        `TASK-file` bucket and object that a sensor waits for. Tasks that need the outputs of others are left out.

    Raises:
        InputError: An input or the interval is wrong: nothing has run.
    """
    plan = plan_of(definition, started)
    kept(definition.pipeline, tuple(started.params.get(SELECT) or ()))
    result: dict[str, Any] = {}
    for group in plan.groups:
        task = definition.pipeline.tasks[group.name]
        if task.condition not in ("success", "always"):
            result[f"{group.name}-if"] = not group.skip and (task.condition != "failure" or bool(group.needs))
        if group.tasks is None or needs_outputs(definition.pipeline, group.name):
            continue
        if task.sensor and task.sensor.file and not task.matrix:
            result[f"{group.name}-file"] = _bucket_and_object(str(group.tasks[0].action["file"]))
        result[group.name] = _variables(plan, group, group.tasks, started, bool(task.matrix), more)
    return result


def handed_on(
    definition: Definition,
    started: Started,
    task: str,
    outputs: Mapping[str, Any],
    more: Mapping[str, str] | None = None,
) -> Env | list[Env]:
    """The same for a task that needs the outputs of others, once they are known.

    Args:
        definition: The pipeline.
        started: The run.
        task: The task.
        outputs: Outputs by task; those of a matrix as lists.
        more: Variables that every task gets as well.

    Raises:
        InputError: An output is missing, or is not what the task needs.
    """
    plan = plan_of(definition, started)
    group = next(one for one in plan.groups if one.name == task)
    has_matrix = definition.pipeline.tasks[task].matrix is not None
    if not started.does(task):
        return _variables(plan, group, (), started, has_matrix, more)
    handed = {}
    for producer, key in needed_outputs(definition.pipeline, task):
        if key not in (outputs.get(producer) or {}):
            raise InputError(
                f"task `{producer}` has put out no `{key}`", where=f"{definition.path}, task {task}"
            )
        handed[_variable(producer, key)] = json.dumps(outputs[producer][key], default=str)
    found = group.tasks if group.tasks is not None else instances(definition, plan, group, outputs) or ()
    return _variables(plan, group, found, started, has_matrix, {**handed, **(more or {})})


def needed_outputs(pipeline: Pipeline, task: str) -> list[tuple[str, str]]:
    """Outputs of other tasks that a task needs, in its action or as lists of its matrix; as task and name."""
    found = set(used_outputs(pipeline, task))
    if matrix := pipeline.tasks[task].matrix:
        found |= {
            (path[1], path[3]) for path in axis_paths(matrix).values() if path[0] == "tasks" and len(path) > 3
        }
    return sorted(found)


def needs_outputs(pipeline: Pipeline, task: str) -> bool:
    """Whether what a task is given is known only after others have run."""
    return bool(needed_outputs(pipeline, task))


def merged(found: Sequence[Mapping[str, Any]]) -> dict[str, list[Any]]:
    """Outputs of the items of a matrix as lists, in the order of the items."""
    names = dict.fromkeys(name for one in found for name in one)
    return {name: [one[name] for one in found if name in one] for name in names}


def script(definition: Definition, task: str, program: str) -> str:
    """The command of a task for a POSIX shell; every value comes from a variable, so that none of them is code.

    Args:
        definition: The pipeline.
        task: The task.
        program: What is called, unless ADELT_COMMAND says otherwise.
    """
    pipeline = definition.pipeline
    matrix = pipeline.tasks[task].matrix
    keys = list(matrix.axes) or list(matrix.include[0]) if matrix else []
    words = task_words(
        f"{pipeline.name}.{task}",
        item={key: f"$MATRIX_{key}" for key in keys},
        when=("--interval", "$ADELT_INTERVAL"),
        run_id="$ADELT_RUN_ID",
        inputs={key: f"$INPUT_{key}" for key, spec in pipeline.inputs.items() if not nullable(spec)},
        outputs={f"{one}.{key}": f"${_variable(one, key)}" for one, key in needed_outputs(pipeline, task)},
    )
    words += ["--publish", "airflow"]
    optional = [key for key, spec in pipeline.inputs.items() if nullable(spec)]
    lines = [
        shell(f"${{ADELT_COMMAND:-{program}}}", words, optional),
        "${ADELT_AGAIN:+--again} ${ADELT_FORCE:+--force}",
    ]
    nothing = f'if [ -n "${NOTHING}" ]; then echo "${NOTHING}"; exit 0; fi\n'
    return nothing + " \\\n  ".join(lines)


def _variables(
    plan: Plan,
    group: Group,
    tasks: Sequence[PlannedTask],
    started: Started,
    has_matrix: bool,
    more: Mapping[str, str] | None,
) -> Env | list[Env]:
    base = {
        **(more or {}),
        "ADELT_INTERVAL": str(plan.interval),
        "ADELT_RUN_ID": started.adelt_run,
        **({"ADELT_FORCE": "yes"} if started.params.get(FORCE) else {}),
        **{f"INPUT_{name}": _text(value) for name, value in plan.inputs.items() if value is not None},
    }
    if not started.does(group.name):
        # A task that is skipped would skip what needs it: it succeeds without doing anything.
        nothing = {**base, NOTHING: f"{group.name} is not selected"}
        return [{**nothing, ITEM: nothing[NOTHING]}] if has_matrix else nothing
    if not has_matrix:
        return base
    # Airflow skips what is mapped over nothing, and then whatever needs it; adelt goes on.
    return [
        {
            **base,
            ITEM: item_id(task.item),
            **{f"MATRIX_{key}": templates.as_text(value) for key, value in task.item.items()},
        }
        for task in tasks
    ] or [{**base, ITEM: f"{group.name} has no items", NOTHING: "the matrix has no items"}]


def _variable(task: str, key: str) -> str:
    return f"OUTPUT_{task}__{key}"


def _text(value: Any) -> str:
    return json.dumps(value, default=str) if isinstance(value, list) else templates.as_text(value)


def _bucket_and_object(url: str) -> list[str]:
    bucket, _, name = url.removeprefix("gs://").partition("/")
    return [bucket, name]
