"""One pipeline as one DAG: what each key of the definition is in Airflow's words."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, time
from functools import cache, partial
from pathlib import Path
from typing import Any, get_args
from zoneinfo import ZoneInfo

import pendulum

from adelt.definition import Definition
from adelt.definition.inputs import coerce
from adelt.definition.model import Input, Task
from adelt.errors import AdeltError
from adelt.export import airflow_run as run
from adelt.export.airflow import Config
from adelt.export.airflow_cosmos import chosen
from adelt.export.airflow_graph import PLAN, Node, Rule, dag_ids, graph, schedules

from . import tell
from .api import DAG, AirflowFailException, CronDataIntervalTimetable, EmptyOperator, Param, ParamsDict, task
from .runners import runner
from .sensors import sensor
from .twins import Twins

FIRST = 1000  # weight of nodes that only decide what others do
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)  # of catching up, if the definition names none
_JOINS = {rule: partial(EmptyOperator, trigger_rule=rule) for rule in get_args(Rule)}
_JSON = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "date": "string"}


def build(definition: Definition, index: int, config: Config, twins: Twins, project: Path) -> DAG:
    """A DAG.

    Args:
        definition: The pipeline.
        index: Which of its schedules that start it.
        config: Settings of the deployment.
        twins: The operators of all DAGs.
        project: Folder of what is deployed.
    """
    return _Builder(definition, index, config, twins, project).dag()


@cache
def _timetable(cron: str, timezone: str) -> CronDataIntervalTimetable:
    """One for all pipelines of a schedule: Airflow puts each into words, which takes a third of a millisecond."""
    return CronDataIntervalTimetable(cron, timezone)


class _Builder:
    def __init__(
        self, definition: Definition, index: int, config: Config, twins: Twins, project: Path
    ) -> None:
        self._definition, self._config, self._project = definition, config, project
        self._by_model = chosen(config, definition)
        self._pipeline = definition.pipeline
        self._dag_id = dag_ids(self._pipeline)[index]
        found = schedules(self._pipeline)
        self._schedule = found[index] if found else None
        zones = [one.timezone for one in (self._schedule, *self._pipeline.schedule) if one]
        self._zone = ZoneInfo(zones[0] if zones else "UTC")
        self._passed_on = config.kubernetes.pass_on if config.runner == "kubernetes" else []
        self._nodes: dict[str, Any] = {}
        self._twins = twins
        self._given: dict[str, Any] = {}  # results of the plan and of the nodes that end with -items

    def dag(self) -> DAG:
        pipeline, schedule = self._pipeline, self._schedule
        begins = pipeline.interval.start
        # Registered by itself, one that breaks half-way could take the place of the one that says why.
        more: dict[str, Any] = {"auto_register": False}
        if self._config.paused is not None:
            more["is_paused_upon_creation"] = self._config.paused
        with DAG(
            dag_id=self._dag_id,
            description=" ".join(pipeline.description.split()) or None,
            doc_md=self._documentation(),
            tags=["adelt", *pipeline.tags],
            schedule=_timetable(schedule.cron, schedule.timezone) if schedule else None,
            start_date=datetime.combine(begins, time(), self._zone) if begins else BEGINNING,
            catchup=schedule.catchup if schedule else False,
            max_active_runs=pipeline.concurrency.runs,
            max_active_tasks=pipeline.concurrency.tasks,
            default_args={"owner": self._config.owner},
            on_failure_callback=tell.notifiers(pipeline.on_failure, "FAILED") or None,
            on_success_callback=tell.notifiers(pipeline.on_success, "SUCCEEDED") or None,
            **more,
        ) as self._dag:
            for node in graph(self._pipeline):
                self._nodes[node.id] = made = self._node(node)
                # As `set_upstream` does, which compares the DAGs of both each time.
                made.upstream_task_ids.update(node.upstream)
                for one in node.upstream:
                    self._nodes[one].downstream_task_ids.add(node.id)
        # Not as an argument: operators would copy all of them; nor by assignment, which checks defaults that the
        # definition has checked.
        object.__setattr__(self._dag, "params", ParamsDict(self._params()))
        return self._dag

    def _documentation(self) -> str:
        pipeline = self._pipeline
        tasks = "".join(
            f"\n- `{name}` {task.description}" for name, task in pipeline.tasks.items() if task.description
        )
        return f"{pipeline.description}\n{tasks}\n\n{self._definition.path}, sha256 {self._definition.digest[:12]}"

    def _params(self) -> dict[str, Param]:
        given = self._schedule.inputs if self._schedule else {}
        params = {
            name: _param(spec, given.get(name), scheduled=self._schedule is not None)
            for name, spec in self._pipeline.inputs.items()
        }
        params[run.INTERVAL] = Param(
            None,
            type=["null", "string"],
            description="START/END, END not included, or an instant; by default the last interval that was over.",
        )
        params[run.FORCE] = Param(False, type="boolean", description="Do every task although it is done.")
        params[run.SELECT] = Param(
            None,
            type=["null", "array"],
            items={"type": "string", "enum": list(self._pipeline.tasks)},
            description="The only tasks to do; the others succeed without doing anything.",
        )
        return params

    def _node(self, node: Node) -> Any:
        match node.kind:
            case "plan":
                return self._planner()
            case "if":
                return self._short_circuit(node)
            case "join":
                return self._twins.make(self._dag, _JOINS[node.rule], {"task_id": node.id})
            case "items":
                return self._items(node)
            case "task":
                return self._task(node)

    def _task(self, node: Node) -> Any:
        name, task_ = node.id, self._pipeline.tasks[node.id]
        given = self._given.get(f"{name}-items", self._given[PLAN][name])
        common = self._common(name, task_)
        if name in self._by_model:
            from .models import models

            before = [self._nodes[one] for one in node.upstream]
            return models(self._definition, name, given, common, self._config, self._project, before)
        return sensor(name, task_, common, self._config) or runner(
            self._definition, name, given, common, self._config, self._twins, self._dag
        )

    def _common(self, name: str, task_: Task) -> dict[str, Any]:
        """Arguments that every operator knows."""
        retries = task_.retries or self._pipeline.defaults.retries
        timeout = task_.timeout or self._pipeline.defaults.timeout
        return {
            "task_id": name,
            "doc_md": task_.description or None,
            "retries": retries.max,
            "retry_delay": retries.delay,
            "retry_exponential_backoff": retries.backoff == "exponential",
            "max_retry_delay": max(retries.max_delay, retries.delay),
            "execution_timeout": timeout,
            **({"pool": self._pipeline.concurrency.group} if self._pipeline.concurrency.group else {}),
        }

    def _planner(self) -> Any:
        definition, zone, names = self._definition, self._zone, self._passed_on

        def plan(**context: Any) -> dict[str, Any]:
            return _told(lambda: run.handed_out(definition, started(context, zone), _variables(names)))

        doc = "Checks the inputs, and tells each task what it does."
        fields = {"task_id": PLAN, "doc_md": doc, "python_callable": plan, "op_args": ()}
        made = self._twins.make(self._dag, _plan, fields)
        self._given[PLAN] = made.output
        return made

    def _short_circuit(self, node: Node) -> Any:
        fields = {"task_id": node.id, "op_args": (self._given[PLAN][node.id],)}
        return self._twins.make(self._dag, _holds, fields)

    def _items(self, node: Node) -> Any:
        """What a task is given as the result of a task: Airflow maps over nothing else."""
        if run.needs_outputs(self._pipeline, node.task):
            made = self._items_of_outputs(node)
        else:
            doc = f"The items of `{node.task}`."
            fields = {"task_id": node.id, "doc_md": doc, "op_args": (self._given[PLAN][node.task],)}
            made = self._twins.make(self._dag, _planned_items, fields)
        self._given[node.id] = made.output
        return made

    def _items_of_outputs(self, node: Node) -> Any:
        definition, zone, names = self._definition, self._zone, self._passed_on
        tasks = self._pipeline.tasks
        producers = sorted({producer for producer, _ in run.needed_outputs(self._pipeline, node.task)})
        doc = f"What `{node.task}` is given, from the outputs of {', '.join(producers)}."

        @task(task_id=node.id, doc_md=doc)
        def items(outputs: Mapping[str, Any], **context: Any) -> Any:
            known = {
                producer: run.merged(list(value or ())) if tasks[producer].matrix else value or {}
                for producer, value in outputs.items()
            }
            return _told(
                lambda: run.handed_on(definition, started(context, zone), node.task, known, _variables(names))
            )

        return items({producer: self._nodes[producer].output for producer in producers}).operator


def _plan(python_callable: Any, op_args: tuple[Any, ...], **fields: Any) -> Any:
    return task(multiple_outputs=True, **fields)(python_callable)(*op_args).operator


def _holds(op_args: tuple[Any, ...], **fields: Any) -> Any:
    @task.short_circuit(ignore_downstream_trigger_rules=False, priority_weight=FIRST, **fields)
    def holds(value: bool) -> bool:
        return value

    return holds(*op_args).operator


def _planned_items(op_args: tuple[Any, ...], **fields: Any) -> Any:
    @task(priority_weight=FIRST, **fields)
    def items(planned: list[dict[str, str]]) -> list[dict[str, str]]:
        return planned

    return items(*op_args).operator


def started(context: Mapping[str, Any], zone: ZoneInfo) -> run.Started:
    """The run that a task belongs to, as its context tells."""
    dag_run = context["dag_run"]
    start, end = dag_run.data_interval_start, dag_run.data_interval_end
    instant = end or getattr(dag_run, "run_after", None) or dag_run.execution_date
    own = None
    # By hand, Airflow takes the last interval of the schedule; another one was chosen, for example through its API.
    if start and end and start < end and dag_run.run_type == "manual":
        infer = getattr(
            context["dag"].timetable, "infer_manual_data_interval", None
        )  # none without a schedule
        usual = infer(run_after=pendulum.instance(end)) if infer else None
        own = None if usual and (usual.start, usual.end) == (start, end) else (start, end)
    return run.Started(dag_run.dag_id, dag_run.run_id, instant.astimezone(zone), dict(context["params"]), own)


def _told(compute: Any) -> Any:
    """An error of a user fails the task at once, with its text and without a traceback through Airflow."""
    try:
        return compute()
    except AdeltError as error:
        raise AirflowFailException(f"nothing has run: {error}") from None


def _variables(names: list[str]) -> dict[str, str]:
    return {name: os.environ[name] for name in names if name in os.environ}


def _param(spec: Input, given: Any, *, scheduled: bool) -> Param:
    if given is not None:
        default = coerce(spec, given)
    else:
        default = None if spec.required or spec.default is None else coerce(spec, spec.default)
    schema: dict[str, Any] = {"type": _JSON.get(spec.type, "array"), "description": spec.description or None}
    if spec.type == "array":
        schema["items"] = _scalar(spec.items or "string", spec)
        schema |= {
            f"{bound}Items": int(value)
            for bound in ("min", "max")
            if (value := getattr(spec, bound)) is not None
        }
    else:
        schema |= _scalar(spec.type, spec)
        if spec.type in ("integer", "number"):
            schema |= {
                f"{bound}imum": value
                for bound in ("min", "max")
                if (value := getattr(spec, bound)) is not None
            }
    if spec.required and default is None and not scheduled:
        return Param(**schema)
    if default is None:  # a scheduled DAG must have a default; the plan says that it is missing
        schema["type"] = ["null", schema["type"]]
        if "enum" in schema:
            schema["enum"] = [None, *schema["enum"]]
    return Param(_plain(default), **schema)


def _scalar(kind: str, spec: Input) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": _JSON[kind]}
    if kind == "date":
        schema["format"] = "date"
    if spec.enum is not None:
        schema["enum"] = [_plain(value) for value in spec.enum]
    return schema


def _plain(value: Any) -> Any:
    if isinstance(value, list):
        return [_plain(one) for one in value]
    return value.isoformat() if hasattr(value, "isoformat") else value
