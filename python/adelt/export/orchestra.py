"""Pipelines for Orchestra: a group for each task, each a Python job that calls `adelt task`."""

import json
import math
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from adelt.definition import Definition, templates
from adelt.definition.inputs import coerce
from adelt.definition.model import Input, Notice, Retries
from adelt.errors import InputError
from adelt.export import orchestra_model as o
from adelt.export.command import entries, field, named_items, shell
from adelt.export.conditions import nullable, producers, starts_if, used_outputs
from adelt.export.core import FOLDER, Export, Kind, Note, document, read_config
from adelt.export.cron import to_six
from adelt.export.orchestra_expressions import Expressions
from adelt.export.shape import axis_paths, runtime_axes, static_items
from adelt.plan.command import task_words
from adelt.plan.plan import kept, secrets_of

AT = "adelt_at"
_MOST_DELAY = 120  # minutes, the longest delay before a retry
_MOST_WAIT = 7200  # minutes, the longest a sensor looks
_INTEGRATIONS = {"slack": "SLACK", "email": "EMAIL", "teams": "MICROSOFT_TEAMS"}


class SensorCheck(BaseModel):
    """What a trigger of Orchestra looks at in the place of a sensor task."""

    model_config = ConfigDict(extra="forbid")

    integration: str
    sensor_type: Literal[o.SENSOR_TYPES]  # type: ignore[valid-type]
    connection: str | None = None
    parameters: dict[str, Any]


class Config(BaseModel):
    """deploy/orchestra/config.yml: what definitions do not say."""

    model_config = ConfigDict(extra="forbid")

    command: str = "uv run --no-sync adelt"
    build_command: str = "uv sync --frozen --no-dev"
    package_manager: Literal["PIP", "POETRY", "UV"] = "UV"
    python_version: str = "3.11"
    project_dir: str = "."
    branch: str | None = None
    connection: str = "${{ ENV.ADELT_PYTHON_CONNECTION }}"
    environment: str | None = None
    webhook: bool = False
    alert_connections: dict[Literal["slack", "email", "teams"], str] = {}
    sensors: dict[str, dict[str, SensorCheck]] = {}


def export(definitions: Sequence[Definition], project: Path) -> Export:
    """Write a file for each pipeline.

    Raises:
        InputError: deploy/orchestra/config.yml is wrong, or an input has a name that the export needs.
    """
    config = read_config(Config, "orchestra", project)
    files: dict[str, str] = {}
    notes: list[Note] = []
    owned = f"{FOLDER}/orchestra/pipelines"
    for definition in definitions:
        made, found = _Exporter(definition, config).pipeline()
        files[f"{owned}/{definition.pipeline.name}.yml"] = document(definition, "orchestra", made, found)
        notes += found
    return Export(files, tuple(notes), owned)


def job_id(task: str) -> str:
    """The id of the job in a task's group; with a hyphen, so that it cannot be the id of another task's group."""
    return f"{task}-run"


class _Exporter:
    """One definition. Collects the notes on the way."""

    def __init__(self, definition: Definition, config: Config) -> None:
        self._definition, self._config = definition, config
        self._pipeline = definition.pipeline
        self._needs = kept(definition.pipeline)
        self._language = Expressions(definition.pipeline)
        self._producers = producers(definition.pipeline)
        self._notes: list[Note] = []
        self._fixed = {
            path[1]
            for name in self._needs
            if (matrix := self._pipeline.tasks[name].matrix)
            for path in axis_paths(matrix).values()
            if path[0] == "inputs"
        }
        for name in self._pipeline.inputs:
            if name.startswith("adelt_"):
                raise InputError(
                    f"the input `{name}` cannot be exported",
                    where=definition.path,
                    fix="inputs named adelt_... are adelt's own",
                )

    def _note(self, kind: Kind, where: str, what: str) -> None:
        self._notes.append(Note(self._pipeline.name, where, kind, what))

    def pipeline(self) -> tuple[o.Pipeline, list[Note]]:
        """The pipeline and the notes."""
        pipeline = self._pipeline
        inputs = self._inputs()
        groups = {name: self._group(name) for name in self._needs}
        groups |= {name: self._group(name) for name, task in pipeline.tasks.items() if not task.enabled}
        schedules = self._schedules()
        sensors = self._sensors(schedules)
        self._limits()
        made = o.Pipeline(
            version="v1",
            name=" ".join([pipeline.name, *(f"#{templates.slug(tag)}" for tag in pipeline.tags)]),
            inputs=inputs,
            schedule=None if sensors else schedules or None,
            sensors=sensors or None,
            webhook=o.Webhook(enabled=self._config.webhook),
            configuration=o.Configuration(concurrency=o.MaxActive(max_active=pipeline.concurrency.runs)),
            pipeline=groups,
            alerts=self._alerts() or None,
            meta=o.Meta(notes=pipeline.description) if pipeline.description else None,
        )
        return made, self._notes

    def _inputs(self) -> dict[str, o.Input]:
        found = {}
        checked = []
        for name, spec in self._pipeline.inputs.items():
            if name in self._fixed:
                continue
            found[name] = _input(spec)
            if isinstance(found[name].default, str) and _breaks_json(found[name].default):
                self._note(
                    "missing",
                    f"inputs.{name}",
                    "the default has a quote, a backslash, a line break or ${{, which break the JSON it is put into",
                )
            if (
                spec.enum is not None
                or spec.min is not None
                or spec.max is not None
                or spec.type in ("array", "date")
            ):
                checked.append(name)
        if self._fixed:
            self._note(
                "approximated",
                "inputs",
                f"{', '.join(sorted(self._fixed))}: fixed at the default, because the items of a matrix are written here",
            )
        if checked:
            self._note(
                "approximated",
                "inputs",
                f"{', '.join(checked)}: checked by adelt, not by Orchestra; a list is a,b,c",
            )
        zone = self._zone()
        found[AT] = o.Input(
            type="string",
            default=f"${{{{ format_date(ORCHESTRA.CURRENT_TIME, '%Y-%m-%dT%H:%M:%S', '{zone}') }}}}",
        )
        return found

    def _zone(self) -> str:
        return next((schedule.timezone for schedule in self._pipeline.schedule), "UTC")

    def _schedules(self) -> list[o.Schedule]:
        found = []
        for index, schedule in enumerate(self._pipeline.schedule):
            where = f"schedule[{index}]"
            if not schedule.enabled:
                self._note("approximated", where, "it is not enabled and left out")
                continue
            if schedule.catchup:
                self._note("missing", f"{where}.catchup", "missed intervals are not made up for")
            if schedule.timezone != self._zone():
                self._note(
                    "approximated",
                    f"{where}.timezone",
                    f"it starts by {schedule.timezone}, but the day of its interval is that of {self._zone()}",
                )
            if lists := sorted(self._fixed & set(schedule.inputs)):
                self._note(
                    "missing", f"{where}.inputs", f"{', '.join(lists)}: the items of a matrix are fixed"
                )
            crons = to_six(schedule.cron)
            if len(crons) > 1:
                self._note(
                    "approximated", f"{where}.cron", "two entries; both start a run on a day that is both"
                )
            found += [
                o.Schedule(
                    name=" ".join(
                        [self._pipeline.name, *([str(index + 1)] if len(self._pipeline.schedule) > 1 else []),
                         *([("day", "weekday")[part]] if len(crons) > 1 else [])]
                    ),
                    cron=cron,
                    timezone=schedule.timezone,
                    environment=self._config.environment,
                    run_inputs={
                        name: _text(value) if isinstance(value, list) else _plain(value)
                        for name, value in schedule.inputs.items()
                        if name not in self._fixed
                    }
                    or None,
                )
                for part, cron in enumerate(crons)
            ]  # fmt: skip
        return found

    def _sensors(self, schedules: Sequence[o.Schedule]) -> dict[str, o.Sensor]:
        """Sensor tasks that deploy/orchestra/config.yml makes triggers: they start the pipeline in the schedule's place."""
        wanted = self._config.sensors.get(self._pipeline.name, {})
        found: dict[str, o.Sensor] = {}
        for name, check in wanted.items():
            task = self._pipeline.tasks.get(name)
            if task is None or task.sensor is None or not self._pipeline.schedule:
                raise InputError(
                    f"`{self._pipeline.name}.{name}` is no sensor of a pipeline with a schedule",
                    where=f"{FOLDER}/orchestra/config.yml, sensors",
                )
            minutes = math.ceil(task.sensor.timeout.total_seconds() / 60)
            seconds = round(task.sensor.poll.total_seconds())
            if minutes > _MOST_WAIT or not 60 <= seconds <= 600:
                self._note(
                    "approximated",
                    f"tasks.{name}.sensor",
                    "poll and timeout are cut to what a trigger can do",
                )
            for schedule in schedules:
                key = name if len(schedules) == 1 else f"{name}_{templates.slug(schedule.name)}"
                found[key] = o.Sensor(
                    name=key,
                    cron=schedule.cron,
                    timezone=schedule.timezone,
                    timeout_mins=min(max(minutes, 1), _MOST_WAIT),
                    frequency_secs=min(max(seconds, 60), 600),
                    run_inputs=schedule.run_inputs,
                    environments=[schedule.environment] if schedule.environment else None,
                    checks={name: o.Check(**check.model_dump())},
                )
        return found

    def _limits(self) -> None:
        limits, pipeline = self._pipeline.concurrency, self._pipeline
        if limits.on_limit != "queue":
            self._note(
                "missing", "concurrency.on_limit", f"a run too many waits; it does not {limits.on_limit}"
            )
        if limits.group:
            self._note(
                "approximated",
                "concurrency.group",
                f"a task waits in its process for a place in `{limits.group}`; workers have to share ADELT_HOME for it",
            )
        if len(self._needs) > 1:
            kind: Kind = "missing" if "tasks" in limits.model_fields_set else "approximated"
            self._note(
                kind,
                "concurrency.tasks",
                f"{limits.tasks} at a time within the items of a matrix; there is no limit for the tasks of a run together",
            )
        if pipeline.interval.start:
            self._note(
                "approximated",
                "interval.start",
                f"a run before {pipeline.interval.start} is started, and fails",
            )
        retried = [self._retries(name) for name in self._needs]
        if any(one.max for one in retried):
            self._note(
                "approximated", "retries", "a failure that no retry can help (exit code 2) is tried again too"
            )
        if any(one.max and one.backoff == "exponential" for one in retried):
            self._note("approximated", "retries.backoff", "the delay does not grow")
        if any(one.max and _minutes(one.delay) * 60 != one.delay.total_seconds() for one in retried):
            self._note("approximated", "retries.delay", f"whole minutes, rounded up, at most {_MOST_DELAY}")

    def _retries(self, name: str) -> Retries:
        return self._pipeline.tasks[name].retries or self._pipeline.defaults.retries

    def _group(self, name: str) -> o.Group:
        task = self._pipeline.tasks[name]
        needs = self._needs.get(name, tuple(need for need in task.needs if need in self._needs))
        paused = None if task.enabled else True
        condition = None
        if task.enabled:
            try:
                condition = self._condition(name)
            except ValueError as error:
                self._note("missing", f"tasks.{name}.if", f"{error}; the task is paused")
                paused = True
        matrix, item = self._matrix(name)
        if task.matrix and matrix is None:
            paused = True
        return o.Group(
            tasks={job_id(name): self._job(name, item)},
            depends_on=list(needs),
            name=task.description or name,
            condition=condition,
            paused=paused,
            matrix=matrix,
        )

    def _condition(self, name: str) -> str | None:
        """None when the engine's own rule, everything above has succeeded, says the same."""
        if self._pipeline.tasks[name].condition == "always":
            return "${{ True }}" if self._needs[name] else None
        if all(self._pipeline.tasks[one].condition == "success" for one in (name, *self._above(name))):
            return None
        found = starts_if(self._pipeline, self._needs, name, self._language)
        return f"${{{{ {found} }}}}" if found else None

    def _above(self, name: str) -> set[str]:
        found: set[str] = set()
        waiting = list(self._needs[name])
        while waiting:
            if (need := waiting.pop()) not in found:
                found.add(need)
                waiting += self._needs[need]
        return found

    def _matrix(self, name: str) -> tuple[o.Matrix | None, dict[str, str]]:
        task = self._pipeline.tasks[name]
        if task.matrix is None:
            return None, {}
        items: list[Any] | str
        found = static_items(self._pipeline, task.matrix, self._definition.path)
        if found is not None:
            unsafe = sorted(
                {text for one in named_items(found).values() for text in one.values() if _breaks_json(text)}
            )
            if unsafe:
                self._note(
                    "missing",
                    f"tasks.{name}.matrix",
                    f"`{unsafe[0]}` has a quote, a backslash, a line break or ${{{{, which break the JSON it is put into; "
                    "the task is paused",
                )
                return None, {}
            items = entries(found)
            keys = list(task.matrix.axes) or [key for first in task.matrix.include[:1] for key in first]
            item = {key: f"${{{{ MATRIX.item['{field(key)}'] }}}}" for key in keys}
        else:
            axes = runtime_axes(self._pipeline, task.matrix)
            path = next(iter(axes.values())).split(".")
            if len(task.matrix.axes) > 1 or task.matrix.include or task.matrix.exclude or path[0] != "tasks":
                self._note(
                    "missing",
                    f"tasks.{name}.matrix",
                    f"{', '.join(axes.values())} is known only to a run; the task is paused",
                )
                return None, {}
            items = f"${{{{ ORCHESTRA.PIPELINE_RUN_TASKS['{job_id(path[1])}'].OUTPUTS['{path[3]}'] }}}}"
            item = dict.fromkeys(axes, "${{ MATRIX.item }}")
        limit = min(task.concurrency or self._pipeline.concurrency.tasks, self._pipeline.concurrency.tasks)
        made = o.Matrix(
            inputs={"item": items},
            sequential=True if limit == 1 else None,
            max_parallel=None if limit == 1 else limit,
            continue_on_error=not task.matrix.fail_fast,
        )
        if task.matrix.fail_fast:
            self._note(
                "approximated",
                f"tasks.{name}.matrix.fail_fast",
                "no further item starts after a failure; items that run are not stopped",
            )
        return made, item

    def _job(self, name: str, item: Mapping[str, str]) -> o.Task:
        task, pipeline, config = self._pipeline.tasks[name], self._pipeline, self._config
        inputs = {key: spec for key, spec in pipeline.inputs.items() if key not in self._fixed}
        env = {f"MATRIX_{key}": value for key, value in item.items()}
        env["ADELT_AT"] = f"${{{{ inputs.{AT} }}}}"
        env["ADELT_RUN_ID"] = "${{ ORCHESTRA.PIPELINE_RUN_ID }}"
        env["ADELT_TARGET"] = "${{ ENV.ADELT_TARGET }}"
        env |= {f"INPUT_{key}": f"${{{{ inputs.{key} }}}}" for key in inputs}
        outputs = {}
        for producer, key in used_outputs(pipeline, name):
            if pipeline.tasks[producer].matrix:
                self._note(
                    "missing", f"tasks.{name}", f"the outputs of the items of `{producer}` do not reach it"
                )
                continue
            self._note(
                "approximated",
                f"tasks.{name}",
                f"the output `{key}` of `{producer}` is put into JSON as it is: no quotes, no lists",
            )
            reference = f"ORCHESTRA.PIPELINE_RUN_TASKS['{job_id(producer)}'].OUTPUTS['{key}']"
            env[f"OUTPUT_{producer}__{key}"] = f"${{{{ {reference} }}}}"
            outputs[f"{producer}.{key}"] = f"$OUTPUT_{producer}__{key}"
        env |= {f"ADELT_SECRET_{key}": f"${{{{ ENV.{key} }}}}" for key in secrets_of(self._definition, name)}
        if task.pipeline:
            self._note(
                "approximated", f"tasks.{name}.pipeline", "it runs inside the task, not as a run of its own"
            )
        words = task_words(
            f"{pipeline.name}.{name}",
            item={key: f"$MATRIX_{key}" for key in item},
            when=("--at", "$ADELT_AT"),
            run_id="$ADELT_RUN_ID",
            inputs={key: f"$INPUT_{key}" for key, spec in inputs.items() if not nullable(spec)},
            outputs=outputs,
        )
        publishes = name in self._producers and not task.matrix
        words += ["--publish", "orchestra"] if publishes else []
        optional = [key for key, spec in inputs.items() if nullable(spec)]
        timeout = task.timeout or pipeline.defaults.timeout
        parameters = o.PythonParameters(
            source="GIT",
            command=f"sh -c '{shell(config.command, words, optional)}'",
            build_command=config.build_command,
            package_manager=config.package_manager,
            python_version=config.python_version,
            project_dir=config.project_dir,
            branch=config.branch,
            # One JSON text; Orchestra puts values into it as they are.
            environment_variables=json.dumps(env, sort_keys=True),
            set_outputs=publishes,
        )
        retries = self._retries(name)
        configuration = o.Configuration(
            retries=retries.max or None,
            retry_delay=min(_minutes(retries.delay), _MOST_DELAY) if retries.max else None,
            timeout=int(timeout.total_seconds()) if timeout else None,
        )
        return o.Task(
            integration=o.PYTHON,
            integration_job=o.PYTHON_JOB,
            parameters=parameters.model_dump(exclude_none=True),
            depends_on=[],
            name=task.description or name,
            connection=config.connection,
            treat_failure_as_warning=True if task.allow_failure else None,
            configuration=configuration
            if configuration.model_fields_set and (retries.max or timeout)
            else None,
            tags=pipeline.tags or None,
        )

    def _alerts(self) -> list[o.Alert]:
        found = []
        notices = [("on_failure", notice) for notice in self._pipeline.on_failure]
        notices += [("on_success", notice) for notice in self._pipeline.on_success]
        for number, (event, notice) in enumerate(notices, 1):
            destination = self._destination(event, notice)
            if destination:
                found.append(
                    o.Alert(
                        name=f"{event} {number}",
                        statuses=["FAILED"] if event == "on_failure" else ["SUCCEEDED", "WARNING"],
                        destinations=[destination],
                    )
                )
        return found

    def _destination(self, event: str, notice: Notice) -> o.Destination | None:
        if notice.webhook:
            self._note("missing", event, "a webhook cannot be told; alerts go to Slack, Teams and mail")
            return None
        kind: Literal["slack", "email", "teams"] = (
            "slack" if notice.slack else "email" if notice.email else "teams"
        )
        default = None if kind == "email" else f"${{{{ ENV.{kind.upper()}_CONNECTION }}}}"
        return o.Destination(
            integration=_INTEGRATIONS[kind],  # type: ignore[arg-type]
            destination=str(notice.slack or notice.email or notice.teams),
            connection_id=self._config.alert_connections.get(kind, default),
        )


def _input(spec: Input) -> o.Input:
    kinds: dict[str, Any] = {"integer": "number", "number": "number", "boolean": "boolean"}
    if nullable(spec):
        return o.Input(type="string", default="", optional=True)
    if spec.required:
        return o.Input(type=kinds.get(spec.type, "string"))
    value = coerce(spec, spec.default)
    return o.Input(
        type=kinds.get(spec.type, "string"),
        default=value if spec.type in kinds else _text(value),
    )


def _breaks_json(text: str) -> bool:
    return json.dumps(text, ensure_ascii=False) != f'"{text}"' or "${{" in text


def _text(value: Any) -> str:
    return templates.as_text(value)


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool | int | float) else _text(value)


def _minutes(delay: timedelta) -> int:
    return math.ceil(delay.total_seconds() / 60)
