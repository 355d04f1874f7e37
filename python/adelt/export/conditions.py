"""When a task starts, as a condition of the engine: the rules of `adelt.run.schedule`, written out.

A task that is blocked or whose condition is false is simply skipped by an engine, so a condition names the tasks whose
failure reaches it, however far above they are.
"""

import ast
from collections.abc import Iterable, Mapping
from typing import Protocol

from adelt.definition import templates
from adelt.definition.model import Input, Pipeline


class Language(Protocol):
    """How an engine says things."""

    def good(self, task: str) -> str:
        """The task succeeded, or failed and was allowed to."""

    def failed(self, task: str) -> str:
        """The task failed, and was not allowed to."""

    def holds(self, condition: str) -> str:
        """A condition over inputs; raises ValueError when the engine cannot say it."""

    @property
    def never(self) -> str:
        """False."""


def starts_if(pipeline: Pipeline, needs: Mapping[str, tuple[str, ...]], task: str, language: Language) -> str:
    """When a task starts once everything it needs is over; empty if it always does.

    Args:
        pipeline: The pipeline.
        needs: What each task waits for, disabled tasks left out.
        task: The task.
        language: How the engine says it.

    Raises:
        ValueError: The engine cannot say the task's condition.
    """
    condition = pipeline.tasks[task].condition
    if condition == "always":
        return ""
    if condition == "failure":
        return _any(_reaches(pipeline, needs, needs[task], language)) or language.never
    parts = [language.good(need) for need in needs[task]]
    if condition != "success":
        parts.insert(0, language.holds(condition))
    return " and ".join(_grouped(part) for part in parts) if len(parts) > 1 else "".join(parts)


def _reaches(
    pipeline: Pipeline, needs: Mapping[str, tuple[str, ...]], tasks: Iterable[str], language: Language
) -> list[str]:
    """Conditions, any of which says that a failure has reached one of these tasks."""
    through: dict[str, list[str]] = {}  # what reaches a task's end; tasks come after what they need
    wanted = set(tasks)
    for name in needs:
        task = pipeline.tasks[name]
        found = [] if task.allow_failure else [language.failed(name)]
        if task.condition not in ("always", "failure"):
            above = list(dict.fromkeys(one for need in needs[name] for one in through[need]))
            if above and task.condition != "success":
                above = [f"({language.holds(task.condition)}) and ({_any(above)})"]
            found += above
        through[name] = list(dict.fromkeys(found))
        if wanted <= through.keys():
            break
    return list(dict.fromkeys(one for name in tasks for one in through[name]))


def _any(parts: list[str]) -> str:
    return " or ".join(_grouped(part) for part in parts) if len(parts) > 1 else "".join(parts)


def _grouped(part: str) -> str:
    return f"({part})" if " and " in part or " or " in part else part


def parse(condition: str) -> ast.expr:
    """The tree of a condition that was checked."""
    text = condition.strip()
    if text.startswith("{{"):
        text = text[2:-2].strip()
    return ast.parse(text, mode="eval").body


def compared(node: ast.Compare) -> list[tuple[ast.expr, ast.cmpop, ast.expr]]:
    """`a < b < c` as its two comparisons."""
    lefts = [node.left, *node.comparators[:-1]]
    return list(zip(lefts, node.ops, node.comparators, strict=True))


def input_of(node: ast.expr) -> str | None:
    """The input that a node names; None if it names none."""
    if isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == "inputs":
        return node.attr
    return None


def nullable(spec: Input) -> bool:
    """Whether a run may go without a value for an input: its default is none."""
    return not spec.required and spec.default is None


def used_outputs(pipeline: Pipeline, task: str) -> list[tuple[str, str]]:
    """Outputs of other tasks that a task names in its action or its environment, as task and name."""
    return list(pipeline.tasks[task].outputs_used)


def producers(pipeline: Pipeline) -> set[str]:
    """Tasks whose outputs others use, in an action or as the list of a matrix."""
    used = {producer for name in pipeline.tasks for producer, _ in used_outputs(pipeline, name)}
    for task in pipeline.tasks.values():
        axes = [value for value in task.matrix.axes.values() if isinstance(value, str)] if task.matrix else []
        used |= {path[1] for path in templates.paths(axes) if path[0] == "tasks" and len(path) > 1}
    return used
