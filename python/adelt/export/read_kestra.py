"""Kestra flows as definitions, and their shape."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from adelt.definition.templates import as_text
from adelt.export import kestra_model as k
from adelt.export.command import entry_id
from adelt.export.cron import values
from adelt.export.reading import Reading, dbt_action, name_of, parsed, translated
from adelt.export.shape import Items, Shape, schedules
from adelt.window import format_duration

_TYPES = {"STRING": "string", "SELECT": "string", "INT": "integer", "FLOAT": "number", "BOOL": "boolean",
          "BOOLEAN": "boolean", "DATE": "date"}  # fmt: skip
_LIMITS = {"QUEUE": "queue", "CANCEL": "skip", "FAIL": "fail"}
_NICKNAMES = {"@hourly": "0 * * * *", "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@weekly": "0 0 * * 0",
              "@monthly": "0 0 1 * *", "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *"}  # fmt: skip
_PERIOD = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:\.\d+)?S)?)?")
_DATE_OF_RUN = re.compile(
    r"""(?:trigger\.date|execution\.startDate|now\(\))(?:\s*\|\s*date\((['"])yyyy-MM-dd\1\))?"""
)


def load(text: str, where: str = "") -> k.Flow:
    """A flow in the strict model.

    Raises:
        InputError: It is no flow.
    """
    return parsed(k.Flow, text, where)


def shape(flow: k.Flow) -> Shape:
    """The shape of a flow that adelt wrote."""
    graph = next(task for task in flow.tasks if isinstance(task, k.Dag))
    entries = [e for e in graph.tasks if not isinstance(e.task, k.Foreign) and not e.task.disabled]
    return Shape(
        needs={entry.task.id: tuple(sorted(entry.depends_on or ())) for entry in entries},
        items={entry.task.id: _items(flow, entry.task) for entry in entries},
        schedules=schedules(
            (
                trigger.timezone or "UTC",
                tuple(tuple(values(f, i)) for i, f in enumerate(trigger.cron.split())),
            )
            for trigger in flow.triggers or ()
            if isinstance(trigger, k.Schedule) and not trigger.disabled
        ),
    )


def _items(flow: k.Flow, task: k.Task) -> Items:
    if not isinstance(task, k.ForEach):
        return None
    if isinstance(task.values, list):
        return tuple(sorted(
            entry_id(item) for item in task.values
        ))  # fmt: skip
    if output := re.fullmatch(r"\{\{ outputs\['(\w+)'\]\.vars\['(\w+)'\] \}\}", task.values):
        return f"tasks.{output[1]}.outputs.{output[2]}"
    name = task.values.removeprefix("{{ inputs.").removesuffix(" }}")
    default = next(one.defaults for one in flow.inputs or () if one.id == name)
    child = task.tasks[0]
    assert isinstance(child, k.Shell)
    axis = next(key for key in child.env or {} if key.startswith("MATRIX_")).removeprefix("MATRIX_")
    return f"inputs.{name}" if default is None else tuple(sorted(f"{axis}={as_text(one)}" for one in default))


def read(text: str, where: str) -> Reading:
    """A flow as a definition, with what was lost.

    Raises:
        InputError: It is no flow.
    """
    lost: list[str] = []
    found = _Reader(parsed(k.Flow, text, where, lost)).reading()
    found.lost[:0] = lost
    return found


class _Reader:
    def __init__(self, flow: k.Flow) -> None:
        self._flow = flow
        self._found = Reading({"version": 1, "name": name_of(flow.id), "tasks": {}})

    def reading(self) -> Reading:
        flow, found = self._flow, self._found
        if flow.description:
            found.definition["description"] = flow.description
        if flow.labels:
            found.definition["tags"] = [f"{label.key}:{label.value}" for label in flow.labels]
        self._inputs()
        self._schedule()
        if flow.concurrency:
            found.definition["concurrency"] = {
                "runs": flow.concurrency.limit, "on_limit": _LIMITS[flow.concurrency.behavior],
            }  # fmt: skip
        self._sequence(flow.tasks, [], {})
        self._notices()
        for key in ("finally_", "after_execution", "outputs", "sla", "checks", "quotas", "retry", "disabled"):
            if getattr(flow, key):
                found.lose(key.rstrip("_"))
        for default in flow.plugin_defaults or ():
            found.lose(f"pluginDefaults of {default.type}: {', '.join(default.values)}")
        tasks = found.definition.pop("tasks")
        found.definition["tasks"] = tasks
        return found

    def _inputs(self) -> None:
        made: dict[str, Any] = {}
        for one in self._flow.inputs or ():
            spec: dict[str, Any] = {
                "type": "array" if one.type in ("ARRAY", "MULTISELECT") else _TYPES.get(one.type, "")
            }
            if not spec["type"]:
                spec["type"] = "string"
                self._found.lose(f"input {one.id}: {one.type} becomes a string")
            if one.type == "ARRAY" and one.item_type:
                spec["items"] = _TYPES.get(one.item_type, "string")
            if one.description or one.display_name:
                spec["description"] = one.description or one.display_name
            if one.defaults is not None and "{{" in str(one.defaults):
                self._found.lose(f"input {one.id}: its default `{one.defaults}` is an expression")
            elif one.defaults is not None:
                spec["default"] = json.dumps(one.defaults) if isinstance(one.defaults, dict) else one.defaults
            elif one.required is False:
                spec["default"] = None
            if one.values:
                spec["enum"] = one.values
            spec |= {key: value for key, value in (("min", one.min), ("max", one.max)) if value is not None}
            for key in ("depends_on", "validator"):
                if getattr(one, key):
                    self._found.lose(f"input {one.id}: {key}")
            made[name_of(one.id)] = spec
        if made:
            self._found.definition["inputs"] = made

    def _schedule(self) -> None:
        made = []
        for one in self._flow.triggers or ():
            if not isinstance(one, k.Schedule):
                self._found.lose(f"trigger {one.id}: {one.type}")
                continue
            cron = _NICKNAMES.get(one.cron, one.cron)
            if one.with_seconds or len(cron.split()) != 5:
                self._found.lose(f"trigger {one.id}: cron `{one.cron}` has seconds")
                continue
            entry: dict[str, Any] = {"cron": cron}
            if one.timezone:
                entry["timezone"] = one.timezone
            if one.inputs:
                entry["inputs"] = {name_of(key): value for key, value in one.inputs.items()}
            if one.disabled:
                entry["enabled"] = False
            if one.recover_missed_schedules == "ALL":
                entry["catchup"] = True
            for key in ("conditions", "late_maximum_delay", "stop_after", "allow_concurrent"):
                if getattr(one, key):
                    self._found.lose(f"trigger {one.id}: {key}")
            made.append(entry)
        if made:
            self._found.definition["schedule"] = made

    def _sequence(self, tasks: Sequence[k.Task], before: list[str], around: dict[str, Any]) -> list[str]:
        """Tasks one after the other; returns what a task after them waits for."""
        for task in tasks:
            before = self._task(task, before, around)
        return before

    def _task(self, task: k.Task, before: list[str], around: dict[str, Any]) -> list[str]:
        match task:
            case k.Dag():
                ends: dict[str, list[str]] = {}
                pending = list(task.tasks)
                while pending:
                    ready = [one for one in pending if all(need in ends for need in one.depends_on or ())]
                    if not ready:
                        self._found.lose(f"task {task.id}: its tasks wait for each other in a circle")
                        ready = pending
                    for one in ready:
                        needs = [end for need in one.depends_on or () for end in ends.get(need, [])]
                        ends[one.task.id] = self._task(one.task, needs or before, around)
                        pending.remove(one)
                self._inner(task)
                needed = {need for one in task.tasks for need in one.depends_on or ()}
                return list(
                    dict.fromkeys(end for name, one in ends.items() if name not in needed for end in one)
                )
            case k.Parallel():
                self._inner(task)
                return list(
                    dict.fromkeys(end for one in task.tasks for end in self._task(one, before, around))
                )
            case k.Sequential():
                self._inner(task)
                return self._sequence(task.tasks, before, around)
            case k.ForEach():
                return self._for_each(task, before, around)
            case k.Fail() if task.condition:
                self._found.lose(f"task {task.id}: fails the execution on a condition")
                return before
            case _:
                return [self._leaf(task, before, around)]

    def _inner(self, task: k.Dag | k.Parallel | k.Sequential | k.ForEach) -> None:
        for key in ("errors", "finally_", "run_if", "retry", "timeout", "allow_failure", "disabled"):
            if getattr(task, key):
                self._found.lose(f"task {task.id}: {key.rstrip('_')} of a group of tasks")

    def _for_each(self, task: k.ForEach, before: list[str], around: dict[str, Any]) -> list[str]:
        self._inner(task)
        matrix = _matrix(task.values)
        if matrix is None or around:
            name = name_of(task.id)
            self._found.definition["tasks"][name] = {"needs": before}
            known = f"its values `{task.values}` are known to Kestra only"
            self._found.placeholder(name, known if matrix is None else "a loop in a loop")
            return [name]
        if len(task.tasks) > 1:
            self._found.lose(
                f"task {task.id}: its tasks run one after the other for all items, not for each item"
            )
        limit = {"concurrency": task.concurrency_limit} if task.concurrency_limit else {}
        return self._sequence(task.tasks, before, {"matrix": matrix, **limit})

    def _leaf(self, task: k.Task, before: list[str], around: dict[str, Any]) -> str:
        name = name_of(task.id)
        if name in self._found.definition["tasks"]:
            self._found.lose(f"task {task.id}: there are two of the name {name}")
            name = f"{name[:55]}_{len(self._found.definition['tasks'])}"
        made: dict[str, Any] = {}
        self._found.definition["tasks"][name] = made
        if before:
            made["needs"] = before
        made |= around
        if isinstance(task, k.Foreign):
            self._found.placeholder(name, task.type)
            return name
        if task.description:
            made["description"] = task.description
        try:
            made |= self._common(task)
            made |= translated(self._with_variables(self._action(task)), self._path)
        except ValueError as error:
            self._found.placeholder(name, str(error))
        return name

    def _common(self, task: Any) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if task.allow_failure:
            made["allow_failure"] = True
        if task.disabled:
            made["enabled"] = False
        if task.run_if:
            found = re.fullmatch(
                r"\{\{\s*(inputs\.\w+\s*(==|!=|<=?|>=?)\s*('[^']*'|\"[^\"]*\"|[\w.-]+))\s*\}\}", task.run_if
            )
            if not found:
                raise ValueError(f"its condition `{task.run_if}`")
            made["if"] = found[1]
        if task.timeout:
            made["timeout"] = _duration(task.timeout)
        if task.retry:
            retry = task.retry
            made["retries"] = {"max": min(max((retry.max_attempt or 4) - 1, 0), 20)}
            delay = retry.interval or retry.min_interval
            if delay:
                made["retries"]["delay"] = _duration(delay)
            if retry.type == "exponential":
                made["retries"]["backoff"] = "exponential"
            if retry.max_interval:
                made["retries"]["max_delay"] = _duration(retry.max_interval)
            if retry.type == "random" or retry.max_duration or retry.behavior or not retry.max_attempt:
                self._found.lose(f"task {task.id}: part of its retry")
        return made

    def _action(self, task: Any) -> dict[str, Any]:
        match task:
            case k.Shell():
                for key in (
                    "input_files",
                    "output_files",
                    "namespace_files",
                    "container_image",
                    "task_runner",
                ):
                    if getattr(task, key):
                        self._found.lose(f"task {task.id}: {key}")
                commands = [*(task.before_commands or []), *task.commands]
                env = {"env": dict(task.env)} if task.env else {}
                if isinstance(task, k.Dbt):
                    if task.profiles:
                        self._found.lose(f"task {task.id}: profiles")
                    if action := dbt_action(commands):
                        return {"dbt": action, **env}
                return {"run": "\n".join(commands), **env}
            case k.Query():
                if task.destination_table or task.fetch or task.fetch_one or task.store:
                    self._found.lose(f"task {task.id}: what becomes of the rows")
                return {"sql": task.sql}
            case k.Subflow():
                inputs = {name_of(key): value for key, value in (task.inputs or {}).items()}
                wait = {} if task.wait is not False else {"wait": False}
                return {
                    "pipeline": {
                        "name": name_of(task.flow_id),
                        **({"inputs": inputs} if inputs else {}),
                        **wait,
                    }
                }
            case _:
                raise ValueError(task.type)

    def _with_variables(self, value: Any) -> Any:
        """A value with the flow's variables written out; only `render(...)` looks at the expressions inside one."""
        if isinstance(value, dict):
            return {key: self._with_variables(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self._with_variables(item) for item in value]
        if not isinstance(value, str):
            return value

        def written(match: re.Match[str]) -> str:
            found = (self._flow.variables or {}).get(match[2])
            plain = isinstance(found, str | int | float) and ("{{" not in str(found) or bool(match[1]))
            return str(found) if plain else match[0]

        return re.sub(r"\{\{\s*(render\()?vars\.(\w+)(?(1)\))\s*\}\}", written, value)

    def _path(self, text: str) -> str | None:
        """The template for an expression."""
        patterns: list[tuple[str, Any]] = [
            (r"inputs\.([\w-]+)(?:\s*\|\s*toJson)?", lambda m: f"inputs.{name_of(m[1])}"),
            (r"taskrun\.value|parent\.taskrun\.value", lambda _: "matrix.item"),
            (r"(?:fromJson|json)\((?:parent\.)?taskrun\.value\)\.(\w+)", lambda m: f"matrix.{m[1]}"),
            (r"outputs\.(\w+)\.vars\.(\w+)", lambda m: f"tasks.{name_of(m[1])}.outputs.{m[2]}"),
            (r"(?:secret|kv)\((['\"])(\w+)\1\)", lambda m: f"secrets.{m[2]}"),
            (r"execution\.id", lambda _: "run.id"),
            (r"flow\.id", lambda _: "run.pipeline"),
        ]  # fmt: skip
        if _DATE_OF_RUN.fullmatch(text):
            self._found.lose(f"`{{{{ {text} }}}}` became the end of the interval")
            return "interval.end | date"
        for pattern, give in patterns:
            if match := re.fullmatch(pattern, text):
                return str(give(match))
        return None

    def _notices(self) -> None:
        for task in self._flow.errors or ():
            if isinstance(task, k.Request) and "{{" not in task.uri:
                self._found.definition.setdefault("on_failure", []).append({"webhook": task.uri})
            elif isinstance(task, k.Mail) and "{{" not in task.to:
                self._found.definition.setdefault("on_failure", []).append({"email": task.to})
            else:
                self._found.lose(f"errors: task {task.id} ({task.type})")


def _matrix(found: list[Any] | str) -> dict[str, Any] | None:
    """The matrix of a loop; None when its values are an expression."""
    if isinstance(found, str):
        if match := re.fullmatch(r"\{\{\s*inputs\.([\w-]+)\s*\}\}", found):
            return {"item": f"{{{{ inputs.{name_of(match[1])} }}}}"}
        if match := re.fullmatch(r"\{\{\s*outputs\.(\w+)\.vars\.(\w+)\s*\}\}", found):
            return {"item": f"{{{{ tasks.{name_of(match[1])}.outputs.{match[2]} }}}}"}
        try:
            found = json.loads(found)
        except ValueError:
            return None
    if not isinstance(found, list) or not found:
        return None
    if all(isinstance(one, dict) for one in found):
        return {"include": [dict(one) for one in found]}
    if any(isinstance(one, dict | list) or "{{" in str(one) for one in found):
        return None
    return {"item": found}


def _duration(text: str) -> str:
    match = _PERIOD.fullmatch(text)
    if not match:
        raise ValueError(f"the duration `{text}`")
    days, hours, minutes, seconds = (int(part or 0) for part in match.groups())
    return format_duration(timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds))
