"""Spec -> chunks. No I/O beyond reading the pipelines: the same spec, the same chunks."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from adelt.backfill.spec import Entry, Spec
from adelt.definition import Definition
from adelt.errors import AdeltError, DefinitionErrors, InputError
from adelt.plan import make_plan
from adelt.window import Interval, interval_of, split


@dataclass(frozen=True)
class PlannedChunk:
    """One run of a backfill.

    Attributes:
        number: Its place in the order, from 1.
        definition: Its pipeline.
        interval: What it is for.
        inputs: Inputs that were given.
        select: Tasks to run alone; empty runs all.
        after: Numbers of the chunks that must have succeeded before.
        force: Whether tasks are done again that are done.
    """

    number: int
    definition: Definition
    interval: Interval
    inputs: Mapping[str, Any]
    select: tuple[str, ...] = ()
    after: tuple[int, ...] = ()
    force: bool = False

    @property
    def pipeline(self) -> str:
        """Name of its pipeline."""
        return self.definition.pipeline.name


@dataclass(frozen=True)
class BackfillPlan:
    """Everything that a backfill does.

    Attributes:
        spec: What was asked for.
        chunks: Its runs, in the order they are begun.
    """

    spec: Spec
    chunks: tuple[PlannedChunk, ...]


def plan_backfill(spec: Spec, find: Callable[[str], Definition], environment: str) -> BackfillPlan:
    """Divide a backfill into chunks; every one of them is checked.

    Args:
        spec: What is asked for.
        find: Loads a pipeline by its name.
        environment: What is loaded.

    Raises:
        DefinitionErrors: Everything that is wrong, in all entries; nothing may start then.
    """
    chunks: list[PlannedChunk] = []
    late: list[PlannedChunk] = []
    problems: list[AdeltError] = []
    names: set[str] = set()
    for entry in spec.pipelines:
        try:
            definition = find(entry.pipeline)
            name = definition.pipeline.name
            if name in names:
                raise InputError("it is listed twice", where=f"pipeline `{name}`", fix="one entry each")
            names.add(name)
            ours, last = _chunks(spec, entry, definition, environment)
            chunks += ours
            late += last
        except AdeltError as error:
            problems += getattr(error, "problems", (error,))
    if problems:
        raise DefinitionErrors(problems)
    # Models read what every pipeline loads, not only their own.
    after = tuple(range(1, len(chunks) + 1))
    chunks += [replace(chunk, after=after) for chunk in late]
    return BackfillPlan(spec, tuple(replace(chunk, number=n) for n, chunk in enumerate(chunks, 1)))


def _chunks(
    spec: Spec, entry: Entry, definition: Definition, environment: str
) -> tuple[list[PlannedChunk], list[PlannedChunk]]:
    """Chunks of one pipeline, and those that wait for every other; their numbers are given later."""
    intervals = _intervals(entry, definition)
    if spec.order == "newest":
        intervals.reverse()
    # What can be wrong with a plan is the same for all chunks, but for the day the pipeline begins.
    for interval in {min(intervals), max(intervals)}:
        make_plan(definition, interval, entry.inputs, environment, entry.select)
    chosen = entry.select or tuple(name for name, task in definition.pipeline.tasks.items() if task.enabled)
    alone = len(intervals) == len(spec.pipelines) == 1  # then the end is that of the one run
    late = _late(definition, chosen) if spec.transform == "end" and not alone else ()
    early = tuple(name for name in chosen if name not in late)
    whole = Interval(min(i.start for i in intervals), max(i.end for i in intervals))
    return (
        [
            PlannedChunk(
                0, definition, interval, entry.inputs, early if late else entry.select, force=spec.force
            )
            for interval in (intervals if early else ())
        ],
        [PlannedChunk(0, definition, whole, entry.inputs, late, force=spec.force)] if late else [],
    )


def _intervals(entry: Entry, definition: Definition) -> list[Interval]:
    """The chunks' intervals: whole intervals of the pipeline, cut to the days that are wanted."""
    every = definition.pipeline.interval.every
    chunk = entry.chunk or every
    where = f"pipeline `{definition.pipeline.name}`"
    if every not in ("day", chunk):
        raise InputError(
            f"a {chunk} does not hold whole intervals: they are {every}s",
            where=where,
            fix=f"use chunk {every}, or none",
        )
    if entry.last < entry.first:
        raise InputError(
            f"the last day ({entry.last}) is before the first ({entry.first})",
            where=where,
            fix="swap them; both days are included",
        )
    begin, end = interval_of(entry.first, every).start, interval_of(entry.last, every).end
    return [
        Interval(max(whole.start, begin), min(whole.end, end))
        for whole in split(entry.first, entry.last, chunk)
    ]


def _late(definition: Definition, chosen: tuple[str, ...]) -> tuple[str, ...]:
    """Tasks that can wait until everything is loaded: dbt, and what needs it."""
    tasks = definition.pipeline.tasks
    late = {name for name in chosen if tasks[name].kind == "dbt"}
    while more := {name for name in chosen if name not in late and set(tasks[name].needs) & late}:
        late |= more
    return tuple(name for name in chosen if name in late)
