"""What Airflow needs or shows beside its DAGs, which deploy/airflow/dags builds from the definitions themselves.

Pools; and of each pipeline the ids of its DAGs, their nodes and what differs, to be read, compared and checked after a
deployment.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, model_validator
from pydantic_core import PydanticCustomError

from adelt.definition import Definition
from adelt.definition.model import Pipeline
from adelt.export.airflow_graph import Rule, dag_ids, graph, schedules
from adelt.export.core import FOLDER, Export, Kind, Note, document, read_config
from adelt.export.shape import items_of
from adelt.plan.plan import kept

OWNED = f"{FOLDER}/airflow/graphs"


class Kubernetes(BaseModel):
    """Where pods run; arguments of KubernetesPodOperator that are not listed go into `more`."""

    model_config = ConfigDict(extra="forbid")

    image: str = "adelt"
    namespace: str = "default"
    service_account_name: str | None = None
    pass_on: list[str] = ["ADELT_TARGET"]
    more: dict[str, Any] = {}


class Config(BaseModel):
    """deploy/airflow/config.yml: what definitions do not say."""

    model_config = ConfigDict(extra="forbid")

    command: str = "adelt"
    runner: Literal["bash", "kubernetes"] = "bash"
    kubernetes: Kubernetes = Kubernetes()
    deferrable_sensors: bool = True
    paused: bool | None = None
    owner: str = "adelt"
    cosmos: list[str] = []

    @model_validator(mode="after")
    def _where(self) -> "Config":
        if self.cosmos and self.runner != "bash":
            raise PydanticCustomError(
                "cosmos", "`cosmos` needs `runner: bash`, it does not start pods of adelt"
            )
        return self


class Dag(BaseModel):
    """A DAG and when it starts."""

    id: str
    cron: str | None = None
    timezone: str | None = None
    catchup: bool | None = None


class Task(BaseModel):
    """A node of the DAGs. Those with a hyphen are not tasks of the definition (`adelt.export.airflow_graph`)."""

    needs: list[str] | None = None
    rule: Rule | None = None
    items: list[str] | str | None = None


class Graphs(BaseModel):
    """deploy/airflow/graphs/PIPELINE.yml: the DAGs of a pipeline, which have the same nodes."""

    dags: list[Dag]
    tasks: dict[str, Task]


def export(definitions: Sequence[Definition], project: Path) -> Export:
    """Write the pools and the graphs, and note what Airflow does not do as adelt does.

    Args:
        definitions: The pipelines.
        project: Folder of the project.

    Raises:
        DefinitionErrors: A setting is wrong, with which no DAG would load.
    """
    read_config(Config, "airflow", project)
    notes = [note for definition in definitions for note in _Exporter(definition).notes()]
    pools = _pools([definition.pipeline for definition in definitions])
    for name, limits in pools.items():
        if len(set(limits.values())) > 1:
            shown = ", ".join(f"{limit} by {pipeline}" for pipeline, limit in limits.items())
            what = f"the pool `{name}` has one size, the least of {shown}"
            notes += [Note(pipeline, "concurrency.group", "approximated", what) for pipeline in limits]
    text = {
        name: {
            "slots": min(limits.values()),
            "description": f"Tasks at a time of {', '.join(limits)}",
            "include_deferred": False,
        }
        for name, limits in pools.items()
    }
    files = {f"{FOLDER}/airflow/pools.json": json.dumps(text, indent=2) + "\n"}
    for definition in definitions:
        name = definition.pipeline.name
        own = [note for note in notes if note.pipeline == name]
        files[f"{OWNED}/{name}.yml"] = document(definition, "airflow", graphs(definition), own)
    return Export(files, tuple(notes), OWNED)


def graphs(definition: Definition) -> Graphs:
    """The DAGs of a pipeline.

    Args:
        definition: The pipeline.
    """
    pipeline = definition.pipeline
    started: list[Any] = schedules(pipeline) or [None]
    tasks = {}
    for node in graph(pipeline):
        matrix = pipeline.tasks[node.id].matrix if node.kind == "task" else None
        items = items_of(pipeline, matrix, definition.path)
        tasks[node.id] = Task(
            needs=list(node.upstream) or None,
            rule=node.rule if node.rule != "all_success" else None,
            items=list(items) if isinstance(items, tuple) else items,
        )
    return Graphs(
        dags=[
            Dag(id=dag_id, cron=one.cron, timezone=one.timezone, catchup=one.catchup or None)
            if one
            else Dag(id=dag_id)
            for dag_id, one in zip(dag_ids(pipeline), started, strict=True)
        ],
        tasks=tasks,
    )


def _pools(pipelines: Sequence[Pipeline]) -> dict[str, dict[str, int]]:
    """Tasks at a time that each pipeline allows in its group, by group and pipeline."""
    found: dict[str, dict[str, int]] = {}
    for pipeline in pipelines:
        if pipeline.concurrency.group:
            found.setdefault(pipeline.concurrency.group, {})[pipeline.name] = pipeline.concurrency.tasks
    return found


class _Exporter:
    """One definition. Collects the notes."""

    def __init__(self, definition: Definition) -> None:
        self._pipeline = definition.pipeline
        self._found: list[Note] = []

    def _note(self, kind: Kind, where: str, what: str) -> None:
        self._found.append(Note(self._pipeline.name, where, kind, what))

    def notes(self) -> list[Note]:
        """What Airflow does not do, or does differently."""
        pipeline = self._pipeline
        if pipeline.concurrency.on_limit != "queue":
            self._note(
                "missing", "concurrency.on_limit", "a run too many waits, it is neither skipped nor failed"
            )
        started = schedules(pipeline)
        if len(started) > 1:
            self._note(
                "approximated", "schedule", "a DAG for each; `concurrency.runs` counts in each of them"
            )
        if any(one.catchup for one in started) and pipeline.interval.start is None:
            self._note(
                "approximated", "schedule.catchup", "it begins on 2024-01-01, as there is no interval.start"
            )
        tasks: Mapping[str, Any] = {name: pipeline.tasks[name] for name in kept(pipeline)}
        for name, task in tasks.items():
            if task.allow_failure:
                self._note(
                    "approximated", f"tasks.{name}.allow_failure", "a warning is green; its log says WARNING"
                )
            if task.pipeline:
                self._note(
                    "approximated", f"tasks.{name}.pipeline", "inside the task, not as a run of its DAG"
                )
            if task.matrix and task.matrix.fail_fast:
                self._note(
                    "missing", f"tasks.{name}.matrix.fail_fast", "the other items go on after a failure"
                )
        return self._found
