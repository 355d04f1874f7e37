"""Pipelines of Orchestra as definitions, and their shape."""

import json
import re
from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from adelt.export import orchestra_model as o
from adelt.export.command import entry_id
from adelt.export.cron import to_five, values
from adelt.export.reading import Reading, dbt_action, name_of, parsed, translated
from adelt.export.shape import Items, Shape, schedules
from adelt.window import format_duration

_MARK = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
_TYPES = {"string": "string", "number": "number", "boolean": "boolean", "list": "array", "dict": "string"}
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_NOTICES = {"SLACK": "slack", "EMAIL": "email", "MICROSOFT_TEAMS": "teams"}
_FAILED = r"task_groups\[['\"][\w-]+['\"]\]\.any\(\)\.status\s*==\s*['\"]FAILED['\"]"
_ANY_FAILED = re.compile(rf"\$\{{\{{\s*{_FAILED}(\s+or\s+{_FAILED})*\s*\}}\}}")
_GOOD = re.compile(
    r"task_groups\[['\"]([\w-]+)['\"]\]\.all\(\)\.status\s*"
    r"(?:==\s*['\"]SUCCEEDED['\"]|in\s*\[\s*['\"]SUCCEEDED['\"]\s*(,\s*['\"]WARNING['\"]\s*)?\])"
)
_OVER_INPUT = re.compile(r"\$\{\{\s*inputs\.(\w+)\s*(==|!=|<=?|>=?)\s*('[^']*'|\"[^\"]*\"|[\w.-]+)\s*\}\}")


def load(text: str, where: str = "") -> o.Pipeline:
    """A pipeline in the strict model.

    Raises:
        InputError: It is no pipeline of Orchestra.
    """
    return parsed(o.Pipeline, text, where)


def shape(pipeline: o.Pipeline) -> Shape:
    """The shape of a pipeline that adelt wrote."""
    groups = {name: group for name, group in pipeline.pipeline.items() if not group.paused}
    return Shape(
        needs={name: tuple(sorted(group.depends_on)) for name, group in groups.items()},
        items={name: _items(group) for name, group in groups.items()},
        schedules=schedules(
            (one.timezone, tuple(tuple(values(f, i)) for i, f in enumerate(to_five(one.cron).split())))
            for one in pipeline.schedule or ()
        ),
    )


def _items(group: o.Group) -> Items:
    if group.matrix is None:
        return None
    [items] = group.matrix.inputs.values()
    if isinstance(items, str):
        path = re.fullmatch(
            r"\$\{\{ ORCHESTRA\.PIPELINE_RUN_TASKS\['(\w+)-run'\]\.OUTPUTS\['(\w+)'\] \}\}", items
        )
        return f"tasks.{path[1]}.outputs.{path[2]}" if path else items
    return tuple(sorted(
        entry_id(item) for item in items
    ))  # fmt: skip


def read(text: str, where: str) -> Reading:
    """A pipeline as a definition, with what was lost.

    Raises:
        InputError: It is no pipeline of Orchestra.
    """
    lost: list[str] = []
    found = _Reader(parsed(o.Pipeline, text, where, lost)).reading()
    found.lost[:0] = lost
    return found


class _Reader:
    def __init__(self, pipeline: o.Pipeline) -> None:
        self._pipeline = pipeline
        words = pipeline.name.split()
        title = " ".join(word for word in words if not word.startswith("#")) or "pipeline"
        self._found = Reading({"version": 1, "name": name_of(title), "tasks": {}})
        if tags := [word.lstrip("#") for word in words if word.startswith("#")]:
            self._found.definition["tags"] = tags
        self._names: dict[str, str] = {}
        for group in pipeline.pipeline.values():
            for task_id, task in group.tasks.items():
                self._names[task_id] = self._name(task_id, task)

    def _name(self, task_id: str, task: o.Task) -> str:
        """The id as a name; Orchestra's own editor gives ids that say nothing, then what the task is called."""
        name = name_of(task.name if task.name and _UUID.fullmatch(task_id) else task_id)
        return name if name not in self._names.values() else f"{name[:55]}_{len(self._names)}"

    def reading(self) -> Reading:
        pipeline, found = self._pipeline, self._found
        if pipeline.meta and pipeline.meta.notes:
            found.definition["description"] = pipeline.meta.notes
        self._inputs()
        self._schedule()
        if pipeline.configuration:
            defaults = self._limits(pipeline.configuration)
            if defaults:
                found.definition["defaults"] = defaults
            if pipeline.configuration.concurrency:
                active = pipeline.configuration.concurrency.max_active
                if isinstance(active, int):
                    found.definition["concurrency"] = {"runs": active}
                else:
                    found.lose(f"max_active `{active}`")
        for name, group in pipeline.pipeline.items():
            self._group(name, group)
        self._alerts()
        for key in ("trigger_events", "anomalies"):
            if getattr(pipeline, key):
                found.lose(key)
        if pipeline.webhook and pipeline.webhook.enabled:
            found.lose("webhook")
        tasks = found.definition.pop("tasks")
        found.definition["tasks"] = tasks
        return found

    def _inputs(self) -> None:
        made: dict[str, Any] = {}
        for name, one in (self._pipeline.inputs or {}).items():
            spec: dict[str, Any] = {"type": _TYPES[one.type]}
            if "${{" in str(one.default):
                self._found.lose(f"input {name}: its default `{one.default}` is an expression")
            elif one.default is not None:
                spec["default"] = json.dumps(one.default) if isinstance(one.default, dict) else one.default
            elif one.optional:
                spec["default"] = None
            made[name_of(name)] = spec
        if made:
            self._found.definition["inputs"] = made

    def _schedule(self) -> None:
        made: list[dict[str, Any]] = []
        for one in self._pipeline.schedule or ():
            try:
                made.append({"cron": to_five(one.cron), "timezone": one.timezone})
            except ValueError as error:
                self._found.lose(f"schedule {one.name}: {error}")
                continue
            if one.run_inputs:
                made[-1]["inputs"] = {name_of(key): value for key, value in one.run_inputs.items()}
            for key in ("environment", "exclude", "branch"):
                if getattr(one, key):
                    self._found.lose(f"schedule {one.name}: {key}")
        for name, sensor in (self._pipeline.sensors or {}).items():
            self._sensor(name, sensor, made)
        if made:
            self._found.definition["schedule"] = made

    def _sensor(self, name: str, sensor: o.Sensor, made: list[dict[str, Any]]) -> None:
        """A trigger that looks with SQL becomes a schedule and a task that waits; others stand as a placeholder."""
        try:
            made.append({"cron": to_five(sensor.cron), "timezone": sensor.timezone})
        except ValueError as error:
            self._found.lose(f"sensor {name}: {error}")
        for key, check in sensor.checks.items():
            task = name_of(key)
            query = check.parameters.get("query") or check.parameters.get("statement")
            wait = {"poll": f"{sensor.frequency_secs or 60}s", "timeout": f"{sensor.timeout_mins}m"}
            if check.sensor_type.endswith("_QUERY") and isinstance(query, str) and "${{" not in query:
                self._found.definition["tasks"][task] = {"sensor": {"sql": query, **wait}}
                self._found.lose(
                    f"sensor {name}: the run starts by the clock and waits, on the warehouse of the target"
                )
            else:
                self._found.placeholder(task, f"sensor {check.sensor_type}")

    def _limits(self, found: o.Configuration) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if found.retries:
            made["retries"] = {"max": min(found.retries, 20)}
            if found.retry_delay is not None:
                made["retries"]["delay"] = f"{found.retry_delay}m"
        if found.timeout:
            made["timeout"] = format_duration(timedelta(seconds=found.timeout))
        return made

    def _group(self, name: str, group: o.Group) -> None:
        ends = [
            self._names[task] for need in group.depends_on for task in _ends(self._pipeline.pipeline[need])
        ]
        around: dict[str, Any] = {}
        fault = ""
        if group.matrix:
            matrix = self._matrix(group.matrix)
            if matrix is None:
                fault = "the list of its matrix is an expression of Orchestra"
            else:
                around["matrix"] = {
                    **matrix,
                    **({} if group.matrix.continue_on_error else {"fail_fast": True}),
                }
                limit = 1 if group.matrix.sequential else group.matrix.max_parallel
                if limit:
                    around["concurrency"] = limit
            if len(group.tasks) > 1:
                self._found.lose(
                    f"group {name}: its tasks wait for each other for all items, not for each item"
                )
        if group.paused:
            around["enabled"] = False
        for task_id, task in group.tasks.items():
            made: dict[str, Any] = {}
            key = self._names[task_id]
            self._found.definition["tasks"][key] = made
            if task.name and task.name != task_id:
                made["description"] = task.name
            if needs := [self._names[need] for need in task.depends_on] or ends:
                made["needs"] = list(dict.fromkeys(needs))
            try:
                if fault:
                    raise ValueError(fault)
                made |= around | self._common(task)
                if condition := self._condition(name, [group.condition, task.condition]):
                    made["if"] = condition
                made |= translated(self._action(task_id, task), self._path, _MARK)
            except ValueError as error:
                self._found.placeholder(key, str(error))

    def _matrix(self, matrix: o.Matrix) -> dict[str, Any] | None:
        [(axis, items)] = matrix.inputs.items()
        if isinstance(items, str):
            found = _MARK.fullmatch(items.strip())
            path = self._path(found[1].strip()) if found else None
            return {axis: f"{{{{ {path} }}}}"} if path and path.startswith(("inputs.", "tasks.")) else None
        if items and all(isinstance(one, dict) for one in items):
            return {"include": [dict(one) for one in items]}
        return {axis: items}

    def _common(self, task: o.Task) -> dict[str, Any]:
        made: dict[str, Any] = {}
        if task.paused:
            made["enabled"] = False
        if task.treat_failure_as_warning:
            made["allow_failure"] = True
        if task.configuration:
            made |= self._limits(task.configuration)
        for key in ("connection", "operation_metadata", "alerts", "anomalies"):
            if getattr(task, key):
                self._found.lose(f"{key} of tasks")
        return made

    def _condition(self, group: str, conditions: Sequence[str | None]) -> str:
        """When a task of a group starts; empty if that is when what it needs has succeeded."""
        made = {found for one in conditions if one and (found := self._one_condition(group, one))}
        if len(made) > 1:
            raise ValueError(f"its conditions `{'` and `'.join(sorted(made))}`")
        return "".join(made)

    def _one_condition(self, group: str, condition: str) -> str:
        if re.fullmatch(r"\$\{\{\s*[Tt]rue\s*\}\}", condition):
            return "always"
        if _ANY_FAILED.fullmatch(condition):
            return "failure"
        if over := _OVER_INPUT.fullmatch(condition):
            value = {"True": "true", "False": "false"}.get(over[3], over[3])
            return f"inputs.{name_of(over[1])} {over[2]} {value}"
        if self._is_usual(group, condition):
            return ""
        raise ValueError(f"its condition `{condition}`")

    def _is_usual(self, group: str, condition: str) -> bool:
        """Whether a condition says what holds without one: everything that the group depends on has succeeded."""
        inside = _MARK.fullmatch(condition.strip())
        parts = re.split(r"\s+and\s+", inside[1].strip()) if inside else []
        found = [match for part in parts if (match := _GOOD.fullmatch(part))]
        groups = self._pipeline.pipeline
        if not found or len(found) < len(parts) or {one[1] for one in found} != set(groups[group].depends_on):
            return False
        strict = [one[1] for one in found if not one[2]]
        if any(task.treat_failure_as_warning for name in strict for task in groups[name].tasks.values()):
            self._found.lose(f"group {group}: it starts after a failure that is allowed, too")
        return True

    def _action(self, task_id: str, task: o.Task) -> dict[str, Any]:
        given = task.parameters
        match task.integration, task.integration_job:
            case o.PYTHON, o.PYTHON_JOB:
                made: dict[str, Any] = {"run": given.get("command") or ""}
                if given.get("source") == "INLINE" or not given.get("command"):
                    made = {"run": ["python", "-c", given.get("code") or ""]}
                if variables := given.get("environment_variables"):
                    try:
                        made["env"] = {key: str(value) for key, value in json.loads(variables).items()}
                    except (ValueError, AttributeError) as error:
                        raise ValueError("its environment variables are no JSON object") from error
                used = {"command", "code", "source", "environment_variables", "set_outputs"}
            case o.DBT, o.DBT_JOB:
                commands = [part.strip() for part in given["commands"].split(";") if part.strip()]
                action = dbt_action(commands)
                made = {"dbt": action} if action else {"run": " && ".join(commands)}
                used = {"commands"}
            case o.BIGQUERY, o.QUERY_JOB:
                made, used = {"sql": given["query"]}, {"query"}
            case integration, job:
                raise ValueError(f"{integration} {job}")
        if rest := sorted(set(given) - used):
            self._found.lose(f"task {task_id}: {', '.join(rest)}")
        return made

    def _path(self, text: str) -> str | None:
        """The template for an expression."""
        patterns: list[tuple[str, Any]] = [
            (r"inputs\.(\w+)", lambda m: f"inputs.{name_of(m[1])}"),
            (r"(?:ENV|env|SECRETS|secrets)\.(\w+)", lambda m: f"secrets.{m[1]}"),
            (r"(?:MATRIX|matrix)\.\w+(?:\[['\"](\w+)['\"]\]|\.(\w+))", lambda m: f"matrix.{m[1] or m[2]}"),
            (r"(?:MATRIX|matrix)\.(\w+)", lambda m: f"matrix.{m[1]}"),
            (
                r"(?:ORCHESTRA|orchestra)\.(?:PIPELINE_RUN_TASKS|pipeline_run_tasks)\[['\"]([\w-]+)['\"]\]"
                r"\.(?:OUTPUTS|outputs)\[['\"](\w+)['\"]\]",
                lambda m: f"tasks.{self._names.get(m[1], name_of(m[1]))}.outputs.{m[2]}",
            ),
            (r"(?:ORCHESTRA|orchestra)\.(?:PIPELINE_RUN_ID|pipeline_run_id)", lambda _: "run.id"),
        ]
        for pattern, give in patterns:
            if match := re.fullmatch(pattern, text):
                return str(give(match))
        return None

    def _alerts(self) -> None:
        for alert in self._pipeline.alerts or ():
            for key, wanted in (("on_failure", "FAILED"), ("on_success", "SUCCEEDED")):
                if wanted in alert.statuses or "ANY_COMPLETED" in alert.statuses:
                    self._found.definition.setdefault(key, []).extend(
                        {_NOTICES[one.integration]: one.destination} for one in alert.destinations
                    )
            if other := sorted(set(alert.statuses) - {"FAILED", "SUCCEEDED", "ANY_COMPLETED"}):
                self._found.lose(f"alert {alert.name}: {', '.join(other)}")
            if alert.custom_message:
                self._found.lose(f"alert {alert.name}: custom_message")


def _ends(group: o.Group) -> list[str]:
    """The tasks of a group that no other task of it waits for."""
    needed = {need for task in group.tasks.values() for need in task.depends_on}
    return [task for task in group.tasks if task not in needed]
