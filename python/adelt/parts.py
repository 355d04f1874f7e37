"""Parts of a dbt task, each done and noted by itself: an engine may make a task of every model."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from adelt.errors import InputError
from adelt.plan import PlannedTask, item_id

_COMMANDS = ("run", "test", "seed", "snapshot", "build")
# What whoever calls dbt says of places is its own business; the task knows its project, profile and target.
_PLACES = ("--project-dir", "--profiles-dir", "--profile", "--target", "--target-path", "--log-path")


@dataclass(frozen=True)
class Part:
    """A part of a dbt task.

    Attributes:
        words: What dbt is told instead of the task's own command, without places.
        graph: Instead: see that this file has the nodes that dbt would build.
        last: Instead: everything else is done, so the task is.
        folder: Where dbt writes, if not where the task does.
    """

    words: tuple[str, ...] = ()
    graph: Path | None = None
    last: bool = False
    folder: Path | None = None

    @property
    def name(self) -> str:
        """What it is called in the run history: `run adelt.marts.ads.fct_delivery_daily`."""
        if self.graph:
            return "nodes"
        after = zip(self.words, self.words[1:], strict=False)
        return " ".join(
            [self.words[0], *(value.removeprefix("fqn:") for word, value in after if word == "--select")]
        )


def read(words: Sequence[str], graph: Path | None, last: bool) -> Part | None:
    """The part that a command line names; None is the whole task.

    Raises:
        InputError: It names several, or something that is no part.
    """
    if (bool(words) + bool(graph) + last) > 1:
        raise InputError(
            "words for dbt, --dbt-nodes and --dbt-done exclude one another", fix="give one of them"
        )
    if not words:
        return Part(graph=graph, last=last) if graph or last else None
    if words[0] not in _COMMANDS:
        raise InputError(
            f"`{words[0]}` is no part of a dbt task", where="--", fix=f"one of {', '.join(_COMMANDS)}"
        )
    kept: list[str] = []
    folder: Path | None = None
    left = list(words)
    while left:
        word = left.pop(0)
        if word not in _PLACES:
            kept.append(word)
        elif left:
            value = left.pop(0)
            if word == "--project-dir":
                folder = Path(value)
    return Part(words=tuple(kept), folder=folder)


def planned(task: PlannedTask, part: Part) -> PlannedTask:
    """A part as a task of a plan: its own name, and its own key. The last is the task itself."""
    if part.last:
        return task
    item = {**task.item, "dbt": part.name}
    key = hashlib.sha256("\0".join([task.key, part.name, *part.words]).encode()).hexdigest()
    return replace(task, id=f"{task.task}[{item_id(item)}]", item=item, key=key)
