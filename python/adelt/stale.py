"""Whether what is done is older than what it was built on."""

from collections.abc import Iterable
from pathlib import Path

from adelt import definition
from adelt.definition import Definition
from adelt.ledger import Done, Ledger
from adelt.plan import Plan, kept


def built_on(ledger: Ledger, found: Definition, plan: Plan, task: str, project: Path) -> str:
    """When something that a task needs was last done for the interval, by whichever run; empty if it never was.

    Args:
        ledger: The ledger.
        found: The pipeline.
        plan: The plan of a run of it.
        task: Name of the task.
        project: Folder of the project.
    """
    needs = kept(found.pipeline).get(task, ())  # also if only this task was asked for
    if not needs:
        return ""
    start, end = str(plan.interval.start), str(plan.interval.end)
    return ledger.last_done(
        plan.environment, start, end, plan.pipeline, needs, _pipelines(found, needs, project)
    )


def is_stale(done: Done | None, built: str) -> bool:
    """Whether something is done, but what it was built on has been done since."""
    return done is not None and done.completed_at < built


def _pipelines(found: Definition, tasks: Iterable[str], project: Path) -> set[str]:
    """Names of the pipelines that tasks run and wait for, and of those that these run."""
    names: set[str] = set()
    waiting = [(found, tasks)]
    while waiting:
        above, tasks = waiting.pop()
        for task in tasks:
            other = above.pipeline.tasks[task].pipeline
            if other and other.wait and other.name not in names:
                names.add(other.name)
                inner = definition.find(other.name, project)
                waiting.append((inner, inner.pipeline.tasks))
    return names
