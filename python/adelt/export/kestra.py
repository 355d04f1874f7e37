"""Pipelines as Kestra flows: a Dag whose tasks call `adelt task`, with what decides when they start said as `runIf`."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict

from adelt.definition import Definition, templates
from adelt.definition.inputs import coerce
from adelt.definition.model import Input, Notice, Pipeline, Retries, Task
from adelt.errors import InputError
from adelt.export import kestra_model as k
from adelt.export.command import entries, field, named_items, shell
from adelt.export.conditions import nullable, producers, starts_if, used_outputs
from adelt.export.core import FOLDER, Export, Kind, Note, document, read_config, to_yaml
from adelt.export.kestra_expressions import Pebble, input_value, iso, list_expression, quoted
from adelt.export.shape import axis_paths, runtime_axes, static_items
from adelt.plan.command import task_words
from adelt.plan.plan import kept, secrets_of

AT = "adelt_at"
GRAPH = "adelt-graph"  # ids with a hyphen cannot be those of a definition's tasks
_TYPES = {"string": "STRING", "integer": "INT", "number": "FLOAT", "boolean": "BOOL", "date": "DATE"}


class Config(BaseModel):
    """deploy/kestra/config.yml: what definitions do not say."""

    model_config = ConfigDict(extra="forbid")

    namespace: str = "adelt"
    command: str = "adelt"
    runner: Literal["process", "docker"] = "process"
    image: str = "adelt-kestra"
    setup: bool = True


def export(definitions: Sequence[Definition], project: Path) -> Export:
    """Write a flow for each pipeline, and one that makes the bucket and the datasets of Google Cloud.

    Raises:
        InputError: deploy/kestra/config.yml is wrong, or an input has a name that the export needs.
    """
    config = read_config(Config, "kestra", project)
    known = {definition.pipeline.name: definition.pipeline for definition in definitions}
    files: dict[str, str] = {}
    notes: list[Note] = []
    owned = f"{FOLDER}/kestra/flows"
    for definition in definitions:
        flow, found = _Exporter(definition, config, known).flow()
        files[f"{owned}/{definition.pipeline.name}.yml"] = document(definition, "kestra", flow, found)
        notes += found
    if config.setup and definitions:
        files[f"{owned}/{SETUP}.yml"] = _setup(definitions, config)
    return Export(files, tuple(notes), owned)


SETUP = "gcp_setup"


class _Exporter:
    """One definition. Collects the notes on the way."""

    def __init__(self, definition: Definition, config: Config, known: Mapping[str, Pipeline]) -> None:
        self._definition, self._config, self._known = definition, config, known
        self._pipeline = definition.pipeline
        self._needs = kept(definition.pipeline)
        self._language = Pebble(definition.pipeline)
        self._producers = producers(definition.pipeline)
        self._notes: list[Note] = []
        for name in definition.pipeline.inputs:
            if name.startswith("adelt_"):
                raise InputError(
                    f"the input `{name}` cannot be exported",
                    where=definition.path,
                    fix="inputs named adelt_... are adelt's own",
                )
        if definition.pipeline.name == SETUP:
            raise InputError(
                f"`{SETUP}` is the name of a flow of adelt's own",
                where=definition.path,
                fix="give it another name",
            )

    def _note(self, kind: Kind, where: str, what: str) -> None:
        self._notes.append(Note(self._pipeline.name, where, kind, what))

    def flow(self) -> tuple[k.Flow, list[Note]]:
        """The flow and the notes."""
        pipeline = self._pipeline
        tasks = [self._dag_task(name) for name in self._needs]
        tasks += [self._dag_task(name) for name, task in pipeline.tasks.items() if not task.enabled]
        self._limits()
        for name, spec in pipeline.inputs.items():
            if any(mark in str(spec.default) for mark in ("{{", "{%", "{#")):
                self._note("missing", f"inputs.{name}", "Kestra would read its default as an expression")
        flow = k.Flow(
            id=pipeline.name,
            namespace=self._config.namespace,
            description=pipeline.description or None,
            labels=self._labels(),
            inputs=[
                *(_input(name, spec) for name, spec in pipeline.inputs.items()),
                k.Input(
                    id=AT,
                    type="STRING",
                    required=False,
                    description="Do the last interval that was over on the day of this instant, such as "
                    "2026-01-02T05:00:00Z. Empty: the date of the schedule, or of a backfill's.",
                ),
            ],
            variables={AT: self._instant(), "adelt": self._config.command},
            concurrency=k.Concurrency(
                limit=pipeline.concurrency.runs,
                behavior={"queue": "QUEUE", "skip": "CANCEL", "fail": "FAIL"}[pipeline.concurrency.on_limit],  # type: ignore[arg-type]
            ),
            tasks=[
                k.Dag(id=GRAPH, concurrent=pipeline.concurrency.tasks, tasks=tasks),
                *self._verdict(),
                *(
                    self._notice(notice, "on_success", index)
                    for index, notice in enumerate(pipeline.on_success)
                ),
            ],
            errors=[
                self._notice(notice, "on_failure", index) for index, notice in enumerate(pipeline.on_failure)
            ]
            or None,
            triggers=self._triggers() or None,
            plugin_defaults=self._defaults(),
        )
        return flow, self._notes

    def _labels(self) -> list[k.Label]:
        labels = {"adelt": self._definition.path, "adelt_digest": self._definition.digest[:12]}
        labels |= {f"tag_{templates.slug(tag)}": tag for tag in self._pipeline.tags}
        return [k.Label(key=key, value=value) for key, value in labels.items()]

    def _instant(self) -> str:
        zone = self._zone()
        date = (
            f"""(trigger.date ?? execution.startDate) | date("yyyy-MM-dd'T'HH:mm:ssXXX", timeZone="{zone}")"""
        )
        return f"{{{{ (inputs.{AT} ?? '') is empty ? ({date}) : inputs.{AT} }}}}"

    def _zone(self) -> str:
        zones = list(dict.fromkeys(schedule.timezone for schedule in self._pipeline.schedule)) or ["UTC"]
        return zones[0]

    def _triggers(self) -> list[k.Trigger]:
        schedules = self._pipeline.schedule
        found: list[k.Trigger] = []
        for index, schedule in enumerate(schedules):
            if schedule.timezone != self._zone():
                self._note(
                    "approximated",
                    f"schedule[{index}].timezone",
                    f"it starts by {schedule.timezone}, but the day of its interval is that of {self._zone()}",
                )
            found.append(
                k.Schedule(
                    id="schedule" if len(schedules) == 1 else f"schedule_{index + 1}",
                    cron=schedule.cron,
                    timezone=schedule.timezone,
                    inputs={name: _plain(value) for name, value in schedule.inputs.items()} or None,
                    disabled=None if schedule.enabled else True,
                    recover_missed_schedules="ALL" if schedule.catchup else "NONE",
                )
            )
        return found

    def _limits(self) -> None:
        limits = self._pipeline.concurrency
        if limits.group:
            self._note(
                "approximated",
                "concurrency.group",
                f"a task waits in its process for a place in `{limits.group}`; workers have to share ADELT_HOME for it",
            )
        matrices = [name for name in self._needs if self._pipeline.tasks[name].matrix]
        if matrices and len(self._needs) > 1:
            self._note(
                "approximated",
                "concurrency.tasks",
                f"{limits.tasks} at a time within the items of a matrix, and {limits.tasks} among the other tasks",
            )
        if any(self._retries(name).max for name in self._needs):
            self._note(
                "approximated",
                "retries",
                "a failure that no retry can help (exit code 2) is tried again too; delays have no jitter",
            )

    def _retries(self, name: str) -> Retries:
        return self._pipeline.tasks[name].retries or self._pipeline.defaults.retries

    def _dag_task(self, name: str) -> k.DagTask:
        task = self._pipeline.tasks[name]
        needs = self._needs.get(name, tuple(need for need in task.needs if need in self._needs))
        gate: dict[str, Any] = {"description": task.description or None, "allow_failure": True}
        if not task.enabled:
            gate["disabled"] = True
        elif condition := self._starts_if(name):
            gate["run_if"] = f"{{{{ {condition} }}}}"
        made = self._subflow(name, gate) or (
            self._matrix(name, gate) if task.matrix else self._command(name, name, {}, gate)
        )
        return k.DagTask(task=made, depends_on=list(needs) or None)

    def _starts_if(self, name: str) -> str:
        try:
            return starts_if(self._pipeline, self._needs, name, self._language)
        except ValueError as error:
            self._note("missing", f"tasks.{name}.if", f"{error}; the task never starts")
            return self._language.never

    def _matrix(self, name: str, gate: dict[str, Any]) -> k.Task:
        task = self._pipeline.tasks[name]
        assert task.matrix
        values: list[Any] | str
        axes = axis_paths(task.matrix)
        if (
            len(task.matrix.axes) == 1
            and len(axes) == 1
            and not task.matrix.include
            and not task.matrix.exclude
        ):
            [(axis, path)] = axes.items()
            values = list_expression(path)
            item = {axis: "{{ taskrun.value }}"}
        else:
            found = static_items(self._pipeline, task.matrix, self._definition.path)
            if found is None:
                self._note(
                    "missing",
                    f"tasks.{name}.matrix",
                    f"{', '.join(runtime_axes(self._pipeline, task.matrix).values())} is known only to a run, and combined "
                    "with other lists; the task never starts",
                )
                gate = {**gate, "run_if": f"{{{{ {self._language.never} }}}}"}
                found = []
            elif read := sorted({t for one in named_items(found).values() for t in one.values() if "{" in t}):
                self._note(
                    "missing",
                    f"tasks.{name}.matrix",
                    f"Kestra would read `{read[0]}` as an expression; the task never starts",
                )
                gate = {**gate, "run_if": f"{{{{ {self._language.never} }}}}"}
            elif fixed := sorted(f"inputs.{path[1]}" for path in axes.values() if path[0] == "inputs"):
                self._note(
                    "approximated",
                    f"tasks.{name}.matrix",
                    f"the items are those of the default of {', '.join(fixed)}; a run with another list fails",
                )
            values = entries(found)
            keys = list(task.matrix.axes) or [key for item in task.matrix.include[:1] for key in item]
            item = {key: f"{{{{ fromJson(taskrun.value).{field(key)} }}}}" for key in keys}
        inner = {"allow_failure": None if task.matrix.fail_fast else True}
        if task.matrix.fail_fast:
            self._note(
                "approximated",
                f"tasks.{name}.matrix.fail_fast",
                "no further item starts after a failure; items that run are not stopped",
            )
        limit = min(task.concurrency or self._pipeline.concurrency.tasks, self._pipeline.concurrency.tasks)
        return k.ForEach(
            id=name,
            values=values,
            concurrency_limit=limit,
            tasks=[self._command(name, f"{name}-item", item, inner)],
            **gate,
        )

    def _command(self, name: str, task_id: str, item: Mapping[str, str], gate: dict[str, Any]) -> k.Task:
        task, pipeline = self._pipeline.tasks[name], self._pipeline
        env = {f"MATRIX_{key}": value for key, value in item.items()}
        env["ADELT_AT"] = f"{{{{ render(vars.{AT}) }}}}"
        env["ADELT_RUN_ID"] = "{{ execution.id }}"
        env |= {f"INPUT_{key}": input_value(key, spec) for key, spec in pipeline.inputs.items()}
        outputs = {}
        for producer, key in used_outputs(pipeline, name):
            if pipeline.tasks[producer].matrix:
                self._note(
                    "approximated",
                    f"tasks.{name}",
                    f"the outputs of `{producer}` come from the ledger; tasks must share ADELT_HOME",
                )
                continue
            env[f"OUTPUT_{producer}__{key}"] = (
                f"{{{{ (outputs['{producer}'].vars['{key}'] ?? null) | toJson }}}}"
            )
            outputs[f"{producer}.{key}"] = f"$OUTPUT_{producer}__{key}"
        env |= {
            f"ADELT_SECRET_{key}": f"{{{{ secret('{key}') }}}}" for key in secrets_of(self._definition, name)
        }
        words = task_words(
            f"{pipeline.name}.{name}",
            item={key: f"$MATRIX_{key}" for key in item},
            when=("--at", "$ADELT_AT"),
            run_id="$ADELT_RUN_ID",
            inputs={key: f"$INPUT_{key}" for key, spec in pipeline.inputs.items() if not nullable(spec)},
            outputs=outputs,
        )
        optional = [key for key, spec in pipeline.inputs.items() if nullable(spec)]
        publishes = name in self._producers and not task.matrix
        words += ["--publish", "kestra"] if publishes else []
        fields: dict[str, Any] = {
            "id": task_id,
            **gate,
            "retry": _retry(self._retries(name)),
            "timeout": iso(task.timeout or pipeline.defaults.timeout),
            "env": env,
            "commands": [shell("{{ vars.adelt }}", words, optional)],
        }
        if self._config.runner == "docker":
            env["ADELT_TARGET"] = (
                "{{ kv('ADELT_TARGET') }}"  # a container does not see the worker's variables
            )
            fields["container_image"] = self._config.image
        if task.kind == "dbt" and not publishes:
            # The plugin would look for results in a folder of its own; adelt keeps them with the project.
            return k.Dbt(**fields, parse_run_results=False)
        return k.Shell(**fields)

    def _subflow(self, name: str, gate: dict[str, Any]) -> k.Task | None:
        """The other pipeline as a flow of its own, if nothing of its run would differ; else None."""
        task, pipeline = self._pipeline.tasks[name], self._pipeline
        if task.pipeline is None or task.matrix or name in self._producers:
            return None
        other = self._known.get(task.pipeline.name)
        inputs: dict[str, Any] = {}
        for key, value in task.pipeline.inputs.items():
            found = list(templates.references(value)) if isinstance(value, str) else []
            if "{{" in str(value) and not (
                len(found) == 1
                and found[0].text == value
                and not found[0].filters
                and found[0].path[0] == "inputs"
                and found[0].path[1] in pipeline.inputs
            ):
                other = None
                break
            inputs[key] = (
                input_value(found[0].path[1], pipeline.inputs[found[0].path[1]]) if found else _plain(value)
            )
        # A flow that ends with a warning counts as failed where it is called; adelt lets what follows run.
        warns = other is not None and any(one.allow_failure for one in other.tasks.values())
        if other is None or warns or other.interval.every != pipeline.interval.every:
            self._note(
                "approximated", f"tasks.{name}.pipeline", "it runs inside the task, not as a flow of its own"
            )
            return None
        shared = {
            key: input_value(key, spec)
            for key, spec in pipeline.inputs.items()
            if key in other.inputs and not nullable(spec)
        }
        return k.Subflow(
            id=name,
            **gate,
            retry=_retry(self._retries(name)),
            timeout=iso(task.timeout or pipeline.defaults.timeout),
            namespace=self._config.namespace,
            flow_id=other.name,
            inputs={**shared, **inputs, AT: f"{{{{ render(vars.{AT}) }}}}"},
            wait=task.pipeline.wait,
            transmit_failed=task.pipeline.wait,
        )

    def _verdict(self) -> list[k.Task]:
        """A failed task lets the others go on, as locally; the execution fails when they are through."""
        failed = [
            self._language.failed(name)
            for name in self._needs
            if not self._pipeline.tasks[name].allow_failure
        ]
        if not failed:
            return []
        return [
            k.Fail(
                id="adelt-verdict",
                condition=f"{{{{ {' or '.join(failed)} }}}}",
                error_message="a task failed; its log says why",
            )
        ]

    def _notice(self, notice: Notice, event: str, index: int) -> k.Task:
        word = "failed" if event == "on_failure" else "succeeded"
        text = f"{self._pipeline.name} {word}: execution {{{{ execution.id }}}}, {{{{ render(vars.{AT}) }}}}"
        told = f"'{self._pipeline.name} {word}: execution ' ~ execution.id ~ ', ' ~ render(vars.{AT})"
        task_id = f"{event.replace('_', '-')}-{index + 1}"
        if notice.email:
            return k.Mail(
                id=task_id,
                from_="{{ secret('SMTP_FROM') }}",
                to=notice.email,
                subject=text,
                plain_text_content=text,
                host="{{ secret('SMTP_HOST') }}",
                port="{{ secret('SMTP_PORT') }}",
                username="{{ secret('SMTP_USER') }}",
                password="{{ secret('SMTP_PASSWORD') }}",
            )
        fields = {"text": told}
        if notice.webhook:
            uri = notice.webhook
        elif notice.slack:
            uri, fields["channel"] = "{{ secret('SLACK_WEBHOOK_URL') }}", quoted(notice.slack)
        else:
            uri, fields["channel"] = "{{ secret('TEAMS_WEBHOOK_URL') }}", quoted(str(notice.teams))
        body = "{{ {" + ", ".join(f"'{key}': {value}" for key, value in fields.items()) + "} | toJson }}"
        return k.Request(id=task_id, uri=uri, method="POST", content_type="application/json", body=body)

    def _defaults(self) -> list[k.PluginDefault]:
        runner = {
            "process": "io.kestra.plugin.core.runner.Process",
            "docker": "io.kestra.plugin.scripts.runner.docker.Docker",
        }[self._config.runner]
        return [
            k.PluginDefault(type=kind, values={"taskRunner": {"type": runner}}) for kind in (k.SHELL, k.DBT)
        ]


def _input(name: str, spec: Input) -> k.Input:
    kind, item, values = _TYPES.get(spec.type, ""), None, None
    default = None if spec.required or spec.default is None else _plain(coerce(spec, spec.default))
    if spec.enum is not None:
        values = [templates.as_text(value) for value in spec.enum]
        kind = "MULTISELECT" if spec.type == "array" else "SELECT"
        if default is not None:
            default = (
                [templates.as_text(one) for one in default]
                if spec.type == "array"
                else templates.as_text(default)
            )
    elif spec.type == "array":
        kind, item = "ARRAY", _TYPES[spec.items or "string"]
    bounded = kind in ("INT", "FLOAT")
    return k.Input(
        id=name,
        type=kind,  # type: ignore[arg-type]
        item_type=item,  # type: ignore[arg-type]
        description=spec.description or None,
        defaults=default,
        values=values,
        required=None if not nullable(spec) else False,
        min=_bound(spec.min, kind) if bounded else None,
        max=_bound(spec.max, kind) if bounded else None,
    )


def _bound(value: Any, kind: str) -> Any:
    return int(value) if kind == "INT" and value is not None and value == int(value) else value


def _plain(value: Any) -> Any:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value if isinstance(value, str | bool | int | float) or value is None else templates.as_text(value)


def _retry(retries: Retries) -> k.Retry | None:
    if not retries.max:
        return None
    fields: dict[str, Any] = {
        "type": "constant",
        "interval": iso(retries.delay),
        "max_attempt": retries.max + 1,
    }
    if retries.backoff == "exponential":
        fields |= {
            "type": "exponential",
            "delay_factor": 2,
            "max_interval": iso(max(retries.max_delay, retries.delay)),
        }
    return k.Retry(**fields)


def _setup(definitions: Sequence[Definition], config: Config) -> str:
    """The flow that makes what the pipelines need in Google Cloud, if it is not there."""
    datasets = sorted(
        {dataset for definition in definitions for dataset in _datasets(definition.pipeline.tasks)}
    )
    where = {"project_id": "{{ kv('GCP_PROJECT') }}", "location": "{{ kv('GCP_LOCATION') }}"}
    flow = k.Flow(
        id=SETUP,
        namespace=config.namespace,
        description="Makes the bucket and the datasets of the pipelines in Google Cloud, if they are missing. Run it once.",
        labels=[k.Label(key="adelt", value="gcp_setup")],
        tasks=[
            k.CreateBucket(
                id="bucket", name="{{ kv('GCP_BUCKET') }}", if_exists="SKIP", storage_class="REGIONAL"
            ),
            *(k.CreateDataset(id=f"dataset_{name}", name=name, if_exists="SKIP") for name in datasets),
        ],
        plugin_defaults=[
            k.PluginDefault(
                type="io.kestra.plugin.gcp",
                values={"projectId": where["project_id"], "location": where["location"]},
            )
        ],
    )
    head = "# Written by `adelt export kestra` from the pipelines together; do not edit.\n"
    return head + to_yaml(flow.model_dump(by_alias=True, exclude_none=True))


def _datasets(tasks: Mapping[str, Task]) -> set[str]:
    from adelt_sources.catalog import catalog, sources

    names = {task.ingest.source for task in tasks.values() if task.ingest}
    return {
        spec.qualified.partition(".")[0] for name in names & set(sources()) for spec in catalog(name).values()
    }
