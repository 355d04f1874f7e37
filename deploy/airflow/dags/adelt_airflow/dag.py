"""One pipeline as one DAG: what each key of the definition is in Airflow's words.

`adelt-plan` comes first: it checks the inputs, makes adelt's own plan and hands each task its variables. Names with a
hyphen are nodes of ours: `X-if` (a condition over inputs), `X-over` and `X-failed` (`if: always` and `if: failure`),
`X-items` (what X is given depends on outputs), `adelt-verdict` (a failed task fails the run, whatever ran after it).
"""

from collections.abc import Mapping
from datetime import UTC, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from adelt.definition import Definition
from adelt.definition.inputs import coerce
from adelt.definition.model import Input, Pipeline, Schedule, Task
from adelt.errors import AdeltError
from adelt.export import airflow_run as run
from adelt.export.airflow import Config
from adelt.plan.plan import kept

from . import tell
from .api import DAG, AirflowFailException, CronDataIntervalTimetable, EmptyOperator, Param, ParamsDict, TriggerRule, task
from .runners import runner
from .sensors import sensor

PLAN, VERDICT = "adelt-plan", "adelt-verdict"
BEGINNING = datetime(2024, 1, 1, tzinfo=UTC)  # of catching up, if the definition names none
_JSON = {"string": "string", "integer": "integer", "number": "number", "boolean": "boolean", "date": "string"}


def dag_ids(definition: Definition) -> list[str]:
    """Ids of the DAGs of a pipeline: one for each schedule, the first is called as the pipeline is."""
    name = definition.pipeline.name
    return [name, *(f"{name}__{number}" for number in range(2, len(_schedules(definition.pipeline)) + 1))]


def build(definition: Definition, index: int, config: Config) -> DAG:
    """A DAG.

    Args:
        definition: The pipeline.
        index: Which of its schedules that start it.
        config: Settings of the deployment.
    """
    return _Builder(definition, index, config).dag()


def _schedules(pipeline: Pipeline) -> list[Schedule]:
    return [one for one in pipeline.schedule if one.enabled]


class _Builder:
    def __init__(self, definition: Definition, index: int, config: Config) -> None:
        self._definition, self._config = definition, config
        self._pipeline = definition.pipeline
        self._dag_id = dag_ids(definition)[index]
        schedules = _schedules(self._pipeline)
        self._schedule = schedules[index] if schedules else None
        zones = [one.timezone for one in (self._schedule, *self._pipeline.schedule) if one]
        self._zone = ZoneInfo(zones[0] if zones else "UTC")
        self._needs = kept(self._pipeline)
        self._nodes: dict[str, Any] = {}

    def dag(self) -> DAG:
        pipeline, schedule = self._pipeline, self._schedule
        begins = pipeline.interval.start
        more = {} if self._config.paused is None else {"is_paused_upon_creation": self._config.paused}
        with DAG(
            dag_id=self._dag_id,
            description=" ".join(pipeline.description.split()) or None,
            doc_md=self._documentation(),
            tags=["adelt", *pipeline.tags],
            schedule=CronDataIntervalTimetable(schedule.cron, schedule.timezone) if schedule else None,
            start_date=datetime.combine(begins, time(), self._zone) if begins else BEGINNING,
            catchup=schedule.catchup if schedule else False,
            max_active_runs=pipeline.concurrency.runs,
            max_active_tasks=pipeline.concurrency.tasks,
            default_args={"owner": self._config.owner},
            on_failure_callback=tell.notifiers(pipeline.on_failure, "failed") or None,
            on_success_callback=tell.notifiers(pipeline.on_success, "succeeded") or None,
            **more,
        ) as dag:
            self._plan = self._planner()
            for name in self._needs:
                self._nodes[name] = self._task(name)
            self._verdict()
        # Not as an argument: each operator would copy all of them; nor by assignment, which checks defaults that the
        # definition has checked. Both together are half the time.
        object.__setattr__(dag, "params", ParamsDict(self._params()))
        return dag

    def _documentation(self) -> str:
        pipeline = self._pipeline
        tasks = "".join(f"\n- `{name}` {task.description}" for name, task in pipeline.tasks.items() if task.description)
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
        return params

    def _planner(self) -> Any:
        definition, zone = self._definition, self._zone
        names = self._config.kubernetes.pass_on if self._config.runner == "kubernetes" else []

        @task(task_id=PLAN, multiple_outputs=True, doc_md="Checks the inputs, and tells each task what it does.")
        def plan(**context: Any) -> dict[str, Any]:
            return _told(lambda: run.handed_out(definition, started(context, zone), _variables(names)))

        return plan()

    def _task(self, name: str) -> Any:
        task_ = self._pipeline.tasks[name]
        gates = self._gates(name, task_)
        given: Any = self._plan[name]
        if run.needs_outputs(self._pipeline, name):
            given = self._items(name)
            for gate in gates:
                gate >> given.operator
        elif task_.matrix:
            given = self._mapped_over(name)
        common = self._common(name, task_)
        node = sensor(name, task_, self._plan, common, self._config) or runner(
            self._definition, name, given, common, self._config
        )
        for gate in gates:
            gate >> node
        if not gates:
            self._plan.operator >> node
        return node

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

    def _gates(self, name: str, task_: Task) -> list[Any]:
        """What a task starts after, as nodes that must all succeed."""
        needs = [self._nodes[need] for need in self._needs[name]]
        condition = task_.condition
        if condition == "success":
            return needs
        if condition == "always":
            return [self._join(f"{name}-over", TriggerRule.ALL_DONE, needs)] if needs else []
        if condition == "failure":
            if not needs:  # then nothing can have failed
                return [self._short_circuit(name, lambda: False)]
            # `one_failed` alone would start while others still run.
            return [
                self._join(f"{name}-over", TriggerRule.ALL_DONE, needs),
                self._join(f"{name}-failed", TriggerRule.ONE_FAILED, needs),
            ]
        return [*needs, self._short_circuit(name, None)]

    def _join(self, task_id: str, rule: str, needs: list[Any]) -> Any:
        node = EmptyOperator(task_id=task_id, trigger_rule=rule)
        self._plan.operator >> node
        for need in needs:
            need >> node
        return node

    def _short_circuit(self, name: str, verdict: Any) -> Any:
        @task.short_circuit(task_id=f"{name}-if", ignore_downstream_trigger_rules=False)
        def holds(value: bool) -> bool:
            return value

        return holds(False if verdict else self._plan[f"{name}-if"]).operator

    def _mapped_over(self, name: str) -> Any:
        """The items of a matrix as the result of a task: Airflow maps over nothing else."""

        @task(task_id=f"{name}-items", doc_md=f"The items of `{name}`.")
        def items(planned: list[dict[str, str]]) -> list[dict[str, str]]:
            return planned

        return items(self._plan[name])

    def _items(self, name: str) -> Any:
        """The step that knows what a task is given once the outputs of others are there."""
        definition, zone = self._definition, self._zone
        names = self._config.kubernetes.pass_on if self._config.runner == "kubernetes" else []
        producers = sorted({producer for producer, _ in run.needed_outputs(self._pipeline, name)})

        @task(task_id=f"{name}-items", doc_md=f"What `{name}` is given, from the outputs of {', '.join(producers)}.")
        def items(outputs: Mapping[str, Any], **context: Any) -> Any:
            known = {
                producer: run.merged(list(value or ())) if self._pipeline.tasks[producer].matrix else value or {}
                for producer, value in outputs.items()
            }
            return _told(
                lambda: run.handed_on(definition, started(context, zone), name, known, _variables(names))
            )

        return items({producer: self._nodes[producer].output for producer in producers})

    def _verdict(self) -> None:
        """A run ends as its last tasks do; one that runs after a failure would make it a success."""
        if any(self._pipeline.tasks[name].condition in ("always", "failure") for name in self._needs):
            verdict = EmptyOperator(task_id=VERDICT, trigger_rule=TriggerRule.NONE_FAILED)
            for node in self._nodes.values():
                node >> verdict


def started(context: Mapping[str, Any], zone: ZoneInfo) -> run.Started:
    """The run that a task belongs to, as its context tells."""
    dag_run = context["dag_run"]
    instant = dag_run.data_interval_end or getattr(dag_run, "run_after", None) or dag_run.execution_date
    return run.Started(dag_run.dag_id, dag_run.run_id, instant.astimezone(zone), dict(context["params"]))


def _told(compute: Any) -> Any:
    """An error of a user fails the task at once, with its text and without a traceback through Airflow."""
    try:
        return compute()
    except AdeltError as error:
        raise AirflowFailException(f"nothing has run: {error}") from None


def _variables(names: list[str]) -> dict[str, str]:
    import os

    return {name: os.environ[name] for name in names if name in os.environ}


def _param(spec: Input, given: Any, *, scheduled: bool) -> Param:
    if given is not None:
        default = coerce(spec, given)
    else:
        default = None if spec.required or spec.default is None else coerce(spec, spec.default)
    schema: dict[str, Any] = {"type": _JSON.get(spec.type, "array"), "description": spec.description or None}
    if spec.type == "array":
        schema["items"] = _scalar(spec.items or "string", spec)
        schema |= {f"{bound}Items": int(value) for bound in ("min", "max") if (value := getattr(spec, bound)) is not None}
    else:
        schema |= _scalar(spec.type, spec)
        if spec.type in ("integer", "number"):
            schema |= {f"{bound}imum": value for bound in ("min", "max") if (value := getattr(spec, bound)) is not None}
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
