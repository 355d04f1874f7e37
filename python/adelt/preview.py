"""What a run would do now: the plan, beside what the ledger says is done."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from adelt.definition import Definition, templates
from adelt.plan import Plan, PlannedTask, instances, make_plan
from adelt.settings import Settings
from adelt.window import Interval, parse_duration

if TYPE_CHECKING:
    from adelt.engine import History


@dataclass(frozen=True)
class TaskPreview:
    """One task as `adelt plan` shows it.

    Attributes:
        id: Task with its matrix item.
        state: `run`, `done`, `skip` or `later` (its items are known only after another task).
        needs: Tasks before it.
        kind: Its action.
        does: The action in one line.
        action: The action's fields.
        key: Idempotency key.
        why: Why it is skipped, or which run has done it.
        window: Days it is for: the interval with its pipeline's look-back.
        pipeline: The pipeline it belongs to, which a task of the previewed one may run.
        instance: How that pipeline calls it.
    """

    id: str
    state: str
    needs: tuple[str, ...]
    kind: str
    does: str
    action: Mapping[str, Any]
    key: str
    why: str = ""
    window: str = ""
    pipeline: str = ""
    instance: str = ""


@dataclass(frozen=True)
class Preview:
    """What a run would do.

    Attributes:
        pipeline: Its name.
        interval: What it is for.
        window: The interval with its look-back.
        inputs: Every input's value.
        tasks: Tasks in order.
        to_run: Tasks that would run.
        done: Tasks that are done.
    """

    pipeline: str
    interval: str
    window: str
    inputs: Mapping[str, Any]
    tasks: tuple[TaskPreview, ...]
    to_run: int
    done: int


def preview(
    settings: Settings,
    definition: Definition,
    interval: Interval,
    inputs: Mapping[str, Any],
    select: tuple[str, ...] = (),
    *,
    force: bool = False,
) -> Preview:
    """Plan a run and look up what is done."""
    from adelt.engine import History

    plan = make_plan(definition, interval, inputs, settings.environment, select)
    tasks: list[TaskPreview] = []
    for task in _tasks(definition, plan, History(settings), force=force):
        tasks += [task, *_inside(settings, plan, task, (plan.pipeline,), force=force)]
    states = [task.state for task in tasks if task.kind != "pipeline"]
    return Preview(
        plan.pipeline, str(plan.interval), str(plan.window), plan.inputs, tuple(tasks),
        states.count("run") + states.count("later"), states.count("done"),
    )  # fmt: skip


def _inside(
    settings: Settings, plan: Plan, task: TaskPreview, stack: tuple[str, ...], *, force: bool
) -> list[TaskPreview]:
    """What a task that runs another pipeline would make that pipeline do; its ids start with the task's."""
    from adelt.definition import find
    from adelt.engine import History
    from adelt.steps.pipeline import inputs_of

    name = str(task.action.get("name", ""))
    if task.kind != "pipeline" or task.state != "run" or name in stack:
        return []
    other = find(name, settings.project)
    inputs = inputs_of(other, plan.inputs, task.action["inputs"])
    inner = make_plan(other, plan.interval, inputs, settings.environment)
    result: list[TaskPreview] = []
    for child in _tasks(other, inner, History(settings), force=force):
        grandchildren = _inside(settings, inner, child, (*stack, name), force=force)
        result += [replace(one, id=f"{task.id}.{one.id}") for one in (child, *grandchildren)]
    return result


def _tasks(definition: Definition, plan: Plan, history: "History", *, force: bool) -> tuple[TaskPreview, ...]:
    result: list[TaskPreview] = []
    fresh: set[str] = set()  # groups that would run: what needs them runs again as well
    for group in plan.groups:
        spec = definition.pipeline.tasks[group.name]
        stale = force or any(need in fresh for need in group.needs)
        tasks = group.tasks
        if tasks is None and not stale:
            tasks = instances(definition, plan, group, history.outputs(plan, definition))
        if tasks is None:
            fresh.add(group.name)
            result.append(
                TaskPreview(f"{group.name}[...]", "later", group.needs, spec.kind, "", spec.action, "",
                            "its items come from another task")
            )  # fmt: skip
            continue
        for task in tasks:
            run = "" if stale else history.done(task, plan, definition)
            skip = group.skip or ("only after a failure" if group.condition == "failure" else "")
            state = "skip" if skip else "done" if run else "run"
            if state == "run":
                fresh.add(group.name)
            result.append(
                TaskPreview(
                    task.id, state, group.needs, task.kind, describe(task, plan), task.action, task.key,
                    skip or (f"run {run}" if run else ""), str(plan.window), plan.pipeline, task.id,
                )
            )  # fmt: skip
    return tuple(result)


def describe(task: PlannedTask, plan: Plan) -> str:
    """The action in one line."""
    action = {name: value for name, value in task.action.items() if value not in (None, "", [], {}, False)}
    match task.kind:
        case "ingest":
            params = " ".join(
                f"-p {name}={text}"
                for name, value in action.get("params", {}).items()
                if (text := templates.as_text(value))
            )
            days = f"--from {plan.window.start} --to {plan.window.last_day}"
            return f"ingest {action['source']} {action['table']} {days} {params}".rstrip()
        case "dbt":
            words = [f"--{name} {action[name]}" for name in ("select", "exclude") if name in action]
            return " ".join(["dbt", str(action["command"]), *words])
        case "run":
            command = action["command"]
            return "run " + (
                command if isinstance(command, str) else " ".join(map(templates.as_text, command))
            )
        case "pipeline":
            return f"run pipeline {action['name']}"
        case "sql":
            return "sql " + str(action.get("file") or action.get("statement")).strip().splitlines()[0]
        case "export":
            what = action.get("table") or str(action["sql"]).strip().splitlines()[0]
            return f"export {what} -> {action['to']} ({action['format']})"
        case "transfer":
            return f"transfer {action['from']} -> {action['to']}"
        case "purge":
            what = action.get("path") or "landing"
            if "older_than" not in action:
                return f"purge {what} by ADELT_LANDING_DAYS"
            before = plan.interval.end - parse_duration(action["older_than"])
            return f"purge {what} of what is older than {before}"
        case "alert":
            what = action.get("table") or str(action["sql"]).strip().splitlines()[0]
            whom = [kind for one in action.get("to", ()) for kind, address in one.items() if address]
            return f"tell {', '.join(whom) or 'nobody'} what is new in {what}"
    what = action.get("file") or action.get("sql") or f"pipeline {action.get('pipeline', {}).get('name')}"
    return f"wait for {what}"
