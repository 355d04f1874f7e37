"""What must be the same under every engine: the graph, the fan-out, the schedule. Comparable, whatever it was read from."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from adelt.definition import Definition, templates
from adelt.definition.model import Matrix, Pipeline
from adelt.errors import InputError
from adelt.plan import expand, item_id
from adelt.plan.plan import kept

#: The items of a matrix: their ids, sorted, or the template that names them at run time; None without a matrix.
Items = tuple[str, ...] | str | None


@dataclass(frozen=True)
class Shape:
    """Graph, fan-out and schedule of a pipeline.

    Attributes:
        needs: What each task waits for, sorted; a disabled task is left out and hands its own needs on.
        items: The items of each task's matrix.
        schedules: Time zone and the minutes at which it starts, as the sorted values of the five cron fields.
    """

    needs: Mapping[str, tuple[str, ...]]
    items: Mapping[str, Items]
    schedules: frozenset[tuple[str, tuple[tuple[int, ...], ...]]]


def of_definition(definition: Definition) -> Shape:
    """The shape that a definition asks for."""
    from adelt.export.cron import values

    pipeline = definition.pipeline
    return Shape(
        needs={name: tuple(sorted(needs)) for name, needs in kept(pipeline).items()},
        items={
            name: items_of(pipeline, task.matrix, definition.path)
            for name, task in pipeline.tasks.items()
            if task.enabled
        },
        schedules=schedules(
            (schedule.timezone, tuple(tuple(values(f, i)) for i, f in enumerate(schedule.cron.split())))
            for schedule in pipeline.schedule
            if schedule.enabled
        ),
    )


def schedules(
    found: Iterable[tuple[str, tuple[tuple[int, ...], ...]]],
) -> frozenset[tuple[str, tuple[tuple[int, ...], ...]]]:
    """Schedules, with those that name a day of the month and a weekday taken apart: either one starts a run."""
    every_day, every_weekday = tuple(range(1, 32)), tuple(range(7))
    result = set()
    for zone, (minute, hour, day, month, weekday) in found:
        if day != every_day and weekday != every_weekday:
            result.add((zone, (minute, hour, day, month, every_weekday)))
            result.add((zone, (minute, hour, every_day, month, weekday)))
        else:
            result.add((zone, (minute, hour, day, month, weekday)))
    return frozenset(result)


def items_of(pipeline: Pipeline, matrix: Matrix | None, where: str) -> Items:
    """The items of a matrix with every input at its default."""
    if matrix is None:
        return None
    found = static_items(pipeline, matrix, where)
    if found is not None:
        return tuple(sorted(item_id(item) for item in found))
    return next(iter(runtime_axes(pipeline, matrix).values()))


def static_items(pipeline: Pipeline, matrix: Matrix, where: str) -> list[Mapping[str, Any]] | None:
    """The items with every input at its default; None when only a run knows them."""
    if runtime_axes(pipeline, matrix):
        return None
    defaults = {name: spec.default for name, spec in pipeline.inputs.items() if not spec.required}
    try:
        return expand(matrix, {"inputs": defaults, "tasks": templates.PENDING}, where)
    except templates.TemplateError as error:
        raise InputError(str(error), where=where) from error


def runtime_axes(pipeline: Pipeline, matrix: Matrix) -> dict[str, str]:
    """Lists that only a run knows, by name: outputs of a task, or an input that has no default; as `inputs.x`."""
    result = {}
    for name, path in axis_paths(matrix).items():
        spec = pipeline.inputs.get(path[1]) if path[0] == "inputs" and len(path) == 2 else None
        if path[0] == "tasks" or (spec is not None and spec.default is None):
            result[name] = ".".join(path)
    return result


def axis_paths(matrix: Matrix) -> dict[str, tuple[str, ...]]:
    """The lists of a matrix that are templates, with the path they name."""
    return {
        name: next(templates.references(value)).path
        for name, value in matrix.axes.items()
        if isinstance(value, str)
    }
