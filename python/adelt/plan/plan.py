"""Definition + interval + inputs -> tasks in order. No I/O, no clock, no environment: the same arguments, the same plan."""

import graphlib
import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, timedelta
from typing import Any

from adelt.definition import inputs as input_values
from adelt.definition import templates
from adelt.definition.load import Definition
from adelt.definition.model import NOTICE_SECRETS, Pipeline, Task
from adelt.errors import InputError, did_you_mean
from adelt.plan.matrix import expand, item_id
from adelt.window import Interval, parse_duration


@dataclass(frozen=True)
class Retry:
    """How often and when a failed task is tried again.

    Attributes:
        max: Tries after the first.
        delay: Seconds before the first retry.
        backoff: `fixed`, or `exponential` (each delay twice the one before).
        max_delay: Most seconds of a delay.
    """

    max: int = 0
    delay: float = 30.0
    backoff: str = "fixed"
    max_delay: float = 1800.0


@dataclass(frozen=True)
class PlannedTask:
    """One task of a plan: one item of a matrix, or a task without one.

    Attributes:
        id: `task`, or `task[key=value,...]`.
        task: Name in the definition.
        item: Values of the matrix.
        kind: Its action, for example ingest or dbt.
        action: The action's fields, filled in; what only a run can know is left as a template.
        env: Environment variables for the action, likewise.
        key: Identifies this work: the same key, the same rows.
        digest: Checksum of the task's definition, kept beside the key.
    """

    id: str
    task: str
    item: Mapping[str, Any]
    kind: str
    action: Mapping[str, Any]
    env: Mapping[str, str]
    key: str
    digest: str


@dataclass(frozen=True)
class Group:
    """A task of the definition with its items.

    Attributes:
        name: Name in the definition.
        needs: Groups that are over before it starts.
        condition: `success`, `always` or `failure`.
        skip: Why it does not run at all (its condition over inputs is false); empty if it may run.
        tasks: The items; None when they are known only after another task has run.
        concurrency: Items at a time; None without a limit.
        fail_fast: Whether a failing item stops the others.
        allow_failure: Whether a failure is a warning.
        retry: Retries.
        timeout: Seconds; None without a limit.
        description: For people.
    """

    name: str
    needs: tuple[str, ...]
    condition: str = "success"
    skip: str = ""
    tasks: tuple[PlannedTask, ...] | None = ()
    concurrency: int | None = None
    fail_fast: bool = False
    allow_failure: bool = False
    retry: Retry = field(default_factory=Retry)
    timeout: float | None = None
    description: str = ""


@dataclass(frozen=True)
class Plan:
    """What a run of a pipeline does for one interval.

    Attributes:
        pipeline: Its name.
        interval: The interval of the run.
        window: The interval with its look-back.
        inputs: Every input's value.
        environment: What "done" refers to: target and warehouse.
        groups: Tasks in the order they can run.
        limit: Tasks at a time.
        group: Name of the group of pipelines whose tasks count together.
        runs: Runs of the pipeline at a time.
        on_limit: What a run too many does.
        key: Identifies the run: pipeline, interval, inputs, environment.
        digest: Checksum of the definition's file.
    """

    pipeline: str
    interval: Interval
    window: Interval
    inputs: Mapping[str, Any]
    environment: str
    groups: tuple[Group, ...]
    limit: int = 4
    group: str | None = None
    runs: int = 1
    on_limit: str = "queue"
    key: str = ""
    digest: str = ""

    @property
    def tasks(self) -> tuple[PlannedTask, ...]:
        """Every task that is known before the run, in order."""
        return tuple(task for group in self.groups for task in group.tasks or ())


def make_plan(
    definition: Definition,
    interval: Interval,
    inputs: Mapping[str, Any],
    environment: str = "local",
    select: tuple[str, ...] = (),
) -> Plan:
    """Plan one run.

    Args:
        definition: The pipeline.
        interval: What the run is for.
        inputs: Inputs that were given; the others take their default.
        environment: Target and warehouse that the run loads.
        select: Names of tasks to run alone; empty runs all.

    Raises:
        InputError: An input, the look-back or the selection is wrong.
    """
    pipeline = definition.pipeline
    values = input_values.resolve(pipeline.inputs, inputs, definition.path)
    try:
        lookback = parse_duration(str(templates.render(pipeline.interval.lookback, {"inputs": values})))
    except InputError as error:
        raise InputError(error.what, where=f"{definition.path}, interval.lookback", fix=error.fix) from error
    if pipeline.interval.start and interval.start < pipeline.interval.start:
        raise InputError(
            f"pipeline `{pipeline.name}` begins on {pipeline.interval.start}",
            where=f"interval {interval}",
            fix="choose a later interval",
        )
    window = _window(interval, lookback, pipeline.interval.start)
    return Plan(
        pipeline=pipeline.name,
        interval=interval,
        window=window,
        inputs=values,
        environment=environment,
        groups=tuple(
            _group(definition, name, needs, interval, window, values, environment)
            for name, needs in kept(pipeline, select).items()
        ),
        limit=pipeline.concurrency.tasks,
        group=pipeline.concurrency.group,
        runs=pipeline.concurrency.runs,
        on_limit=pipeline.concurrency.on_limit,
        key=_hash([pipeline.name, interval.start, interval.end, values, environment]),
        digest=definition.digest,
    )


def instances(
    definition: Definition, plan: Plan, group: Group, outputs: Mapping[str, Any] | None = None
) -> tuple[PlannedTask, ...] | None:
    """The items of a group once the outputs of other tasks are known.

    Args:
        definition: The pipeline.
        plan: The plan the group is of.
        group: A group whose `tasks` is None.
        outputs: Task name to its outputs, for tasks that are over.
    """
    return _instances(
        definition, group.name, plan.interval, plan.window, plan.inputs, plan.environment, outputs
    )


def rendered(
    definition: Definition,
    plan: Plan,
    task: PlannedTask,
    *,
    secrets: Mapping[str, Any],
    run: Mapping[str, Any],
    outputs: Mapping[str, Any],
) -> tuple[dict[str, Any], dict[str, str]]:
    """A task's action and environment with everything filled in, as the run sees it."""
    scope = _scope(plan.interval, plan.window, plan.inputs)
    scope |= {
        "secrets": secrets,
        "run": run,
        "tasks": {name: {"outputs": value} for name, value in outputs.items()},
    }
    spec = definition.pipeline.tasks[task.task]
    return _filled(definition.pipeline, spec, task.item, scope, f"{definition.path}, task {task.id}")


def secrets_of(definition: Definition, task: str) -> list[str]:
    """Names of the secrets that a task refers to."""
    spec = definition.pipeline.tasks[task]
    paths = templates.paths([spec.action, spec.env, definition.pipeline.env])
    named = {path[1] for path in paths if path[0] == "secrets" and len(path) > 1}
    told = spec.alert.to if spec.alert else []
    return sorted(named | {name for notice in told for name in NOTICE_SECRETS[notice.kind]})


def kept(pipeline: Pipeline, select: tuple[str, ...] = ()) -> dict[str, tuple[str, ...]]:
    """Tasks that run, in order, with their needs; a disabled task hands its own needs to those who need it.

    Args:
        pipeline: The pipeline.
        select: Names of tasks to keep; empty keeps all.

    Raises:
        InputError: There is no such task.
    """
    for name in select:
        if name not in pipeline.tasks:
            raise InputError(
                f"pipeline `{pipeline.name}` has no task `{name}`",
                where="--select",
                fix=did_you_mean(name, pipeline.tasks, otherwise="tasks"),
            )
    sorter = graphlib.TopologicalSorter({name: task.needs for name, task in pipeline.tasks.items()})
    sorter.prepare()
    position = {name: index for index, name in enumerate(pipeline.tasks)}
    order: list[str] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=position.__getitem__)
        order += ready
        sorter.done(*ready)
    through: dict[str, tuple[str, ...]] = {}
    result: dict[str, tuple[str, ...]] = {}
    for name in order:
        task = pipeline.tasks[name]
        needs = tuple(dict.fromkeys(n for need in task.needs for n in through.get(need, (need,))))
        if task.enabled and (not select or name in select):
            result[name] = needs
        else:
            through[name] = needs
    return result


def _group(
    definition: Definition,
    name: str,
    needs: tuple[str, ...],
    interval: Interval,
    window: Interval,
    inputs: Mapping[str, Any],
    environment: str,
) -> Group:
    pipeline = definition.pipeline
    task = pipeline.tasks[name]
    retries = task.retries or pipeline.defaults.retries
    timeout = task.timeout or pipeline.defaults.timeout
    condition, skip = task.condition, ""
    if condition not in ("success", "always", "failure"):
        try:
            holds = templates.evaluate_condition(condition, {"inputs": inputs})
        except templates.TemplateError as error:
            raise InputError(str(error), where=f"{definition.path}, task {name}, if") from error
        condition, skip = "success", "" if holds else f"{task.condition} is false"
    return Group(
        name=name,
        needs=needs,
        condition=condition,
        skip=skip,
        tasks=_instances(definition, name, interval, window, inputs, environment, None),
        concurrency=task.concurrency,
        fail_fast=bool(task.matrix and task.matrix.fail_fast),
        allow_failure=task.allow_failure,
        retry=Retry(
            retries.max, retries.delay.total_seconds(), retries.backoff, retries.max_delay.total_seconds()
        ),
        timeout=timeout.total_seconds() if timeout else None,
        description=task.description,
    )


def _instances(
    definition: Definition,
    name: str,
    interval: Interval,
    window: Interval,
    inputs: Mapping[str, Any],
    environment: str,
    outputs: Mapping[str, Any] | None,
) -> tuple[PlannedTask, ...] | None:
    pipeline = definition.pipeline
    task = pipeline.tasks[name]
    scope = _scope(interval, window, inputs)
    if outputs is not None:
        scope["tasks"] = {other: {"outputs": value} for other, value in outputs.items()}
    where = f"{definition.path}, task {name}"
    items: list[Mapping[str, Any]] = [{}]
    if task.matrix:
        try:
            found = expand(task.matrix, scope, where)
        except templates.TemplateError as error:
            raise InputError(str(error), where=where) from error
        if found is None:
            return None
        items = found
    scope["tasks"] = templates.PENDING
    digest = _hash([task.model_dump(mode="json", by_alias=True), pipeline.env])
    relevant = _relevant(pipeline, task, inputs)
    result = []
    for item in items:
        action, env = _filled(pipeline, task, item, scope, where)
        result.append(
            PlannedTask(
                id=f"{name}[{item_id(item)}]" if item else name,
                task=name,
                item=item,
                kind=task.kind,
                action=action,
                env=env,
                key=_hash(
                    [
                        *(pipeline.name, name, item, interval.start, interval.end),
                        relevant,
                        environment,
                    ]
                ),
                digest=digest,
            )
        )
    return tuple(result)


def _filled(
    pipeline: Pipeline, task: Task, item: Mapping[str, Any], scope: dict[str, Any], where: str
) -> tuple[dict[str, Any], dict[str, str]]:
    here = {**scope, "matrix": item}
    try:
        env = {
            name: templates.as_text(templates.render(text, here))
            for name, text in {**pipeline.env, **task.env}.items()
        }
        action: dict[str, Any] = templates.render(task.action, {**here, "env": env})
    except templates.TemplateError as error:
        raise InputError(str(error), where=where) from error
    return action, env


def _scope(interval: Interval, window: Interval, inputs: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "inputs": inputs,
        "interval": _span(interval),
        "window": _span(window),
        "secrets": templates.PENDING,
        "run": templates.PENDING,
        "tasks": templates.PENDING,
    }


def _span(interval: Interval) -> dict[str, date]:
    return {"start": interval.start, "end": interval.end, "last_day": interval.last_day}


def _window(interval: Interval, lookback: timedelta, start: date | None) -> Interval:
    window = interval.extended(lookback)
    return Interval(max(window.start, start), window.end) if start else window


def _relevant(pipeline: Pipeline, task: Task, inputs: Mapping[str, Any]) -> Mapping[str, Any]:
    """The inputs that the task can see the effect of: those it names, and those its window is made of.

    A task that runs another pipeline hands its own inputs on, so all of them count.
    """
    if task.pipeline:
        return inputs
    # The lists of a matrix are not among them: they decide which items there are, and an item's values are in its key.
    parts: list[Any] = [task.action, task.env, pipeline.env, pipeline.interval.lookback]
    names = {path[1] for path in templates.paths(parts) if path[0] == "inputs" and len(path) > 1}
    return {name: value for name, value in inputs.items() if name in names}


def _hash(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, default=_plain, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def _plain(value: Any) -> Any:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)
