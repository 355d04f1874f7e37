"""A pipeline as a graph of Airflow: which node waits for which, by which rule. Nothing of Airflow is imported.

`adelt-plan` comes first and tells each task what it does. Names with a hyphen cannot be those of a definition's tasks:

    X-if        skips X when its condition over inputs is false
    X-over      succeeds when everything X needs is over
    X-failed    succeeds when something X needs has failed, and is skipped otherwise
    X-items     what X is given: the items of its matrix, or the outputs of others
    adelt-verdict  a failed task fails the run, whatever ran after it
"""

from dataclasses import dataclass
from typing import Literal

from adelt.definition.model import Pipeline, Schedule
from adelt.export.airflow_run import needs_outputs
from adelt.plan.plan import kept

PLAN, VERDICT = "adelt-plan", "adelt-verdict"
Kind = Literal["plan", "if", "join", "items", "task"]
Rule = Literal["all_success", "all_done", "one_failed", "none_failed"]


@dataclass(frozen=True)
class Node:
    """A node of the graph.

    Attributes:
        id: Its name in Airflow.
        kind: `plan`, `if`, `join` (does nothing but wait), `items` or `task`.
        task: The task of the definition that it is for; empty for the first and the last.
        upstream: What it waits for.
        rule: Airflow's rule for when it starts.
    """

    id: str
    kind: Kind
    task: str = ""
    upstream: tuple[str, ...] = ()
    rule: Rule = "all_success"


def schedules(pipeline: Pipeline) -> list[Schedule]:
    """The schedules that start the pipeline."""
    return [one for one in pipeline.schedule if one.enabled]


def dag_ids(pipeline: Pipeline) -> list[str]:
    """Ids of its DAGs: one for each schedule, the first is called as the pipeline is."""
    name = pipeline.name
    return [name, *(f"{name}__{number}" for number in range(2, len(schedules(pipeline)) + 1))]


def graph(pipeline: Pipeline) -> list[Node]:
    """The nodes in an order in which they can run."""
    nodes = [Node(PLAN, "plan")]
    needs = kept(pipeline)
    for name in needs:
        nodes += _task(pipeline, name, needs[name])
    # A run ends as its last nodes do: one that runs, or is skipped, after a failure would make it a success.
    if any(pipeline.tasks[name].condition != "success" for name in needs):
        nodes.append(Node(VERDICT, "join", "", tuple(needs), "none_failed"))
    return nodes


def has_gate(pipeline: Pipeline, name: str) -> bool:
    """Whether the plan of a run may skip a task: by a condition over inputs, or since nothing that it needs can fail."""
    condition = pipeline.tasks[name].condition
    return condition not in ("success", "always", "failure") or (
        condition == "failure" and not kept(pipeline)[name]
    )


def _task(pipeline: Pipeline, name: str, needs: tuple[str, ...]) -> list[Node]:
    task = pipeline.tasks[name]
    nodes: list[Node] = []
    gates: tuple[str, ...] = needs
    if task.condition in ("always", "failure") and needs:
        nodes.append(Node(f"{name}-over", "join", name, (PLAN, *needs), "all_done"))
        gates = (f"{name}-over",)
        if task.condition == "failure":
            # By itself this rule would let X start while others still run.
            nodes.append(Node(f"{name}-failed", "join", name, (PLAN, *needs), "one_failed"))
            gates = (f"{name}-over", f"{name}-failed")
    if has_gate(pipeline, name):
        nodes.append(Node(f"{name}-if", "if", name, (PLAN,)))
        gates = (*gates, f"{name}-if")
    if needs_outputs(pipeline, name):
        nodes.append(Node(f"{name}-items", "items", name, (PLAN, *gates)))
        gates = (*gates, f"{name}-items")
    elif task.matrix:
        nodes.append(Node(f"{name}-items", "items", name, (PLAN,)))
        gates = (*gates, f"{name}-items")
    nodes.append(Node(name, "task", name, (PLAN, *gates)))
    return nodes
