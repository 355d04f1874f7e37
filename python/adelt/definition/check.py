"""Sense of a definition that has the right shape: names, order, templates, tables, inputs."""

import graphlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any
from zoneinfo import ZoneInfo

from adelt.definition import inputs as input_values
from adelt.definition import templates
from adelt.definition.model import Input, Pipeline, Task
from adelt.definition.templates import TemplateError
from adelt.errors import AdeltError, DefinitionError, DefinitionErrors, did_you_mean

Loc = tuple[str | int, ...]
TABLE_PATTERN = r"[A-Za-z_]\w*\.[A-Za-z_]\w*"
Where = Callable[..., str]
Peek = Callable[[str], Pipeline | None]

_EVERYWHERE = ("inputs", "interval", "window", "secrets", "run")
_CRON_BOUNDS = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_NAMES = (
    (), (), (),
    ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"),
    ("sun", "mon", "tue", "wed", "thu", "fri", "sat"),
)  # fmt: skip


def problems(pipeline: Pipeline, where: Where, peek: Peek) -> list[DefinitionError]:
    """Everything that does not make sense, each with its line.

    Args:
        pipeline: The pipeline.
        where: Gives `file:line:column` of a place.
        peek: Reads another pipeline by name; raises InputError when there is none, None when it is broken.
    """
    checker = _Checker(pipeline, where, peek)
    checker.inputs()
    checker.schedules()
    checker.order()
    checker.lookback()
    for name, task in pipeline.tasks.items():
        checker.task(name, task)
    return checker.found


def order_problems(pipeline: Pipeline) -> list[DefinitionError]:
    """What is wrong with `needs` alone, without lines; the rest of `problems` costs more."""
    checker = _Checker(pipeline, lambda *_, **__: "", lambda _: None)
    checker.order()
    return checker.found


class _Checker:
    def __init__(self, pipeline: Pipeline, where: Where, peek: Peek) -> None:
        self._pipeline, self._where, self._peek = pipeline, where, peek
        self.found: list[DefinitionError] = []

    def _add(self, what: str, loc: Loc, fix: str = "", *, key: bool = False) -> None:
        self.found.append(DefinitionError(what, where=self._where(loc, key=key), fix=fix))

    def inputs(self) -> None:
        """Defaults, enums and bounds must fit the type."""
        for name, spec in self._pipeline.inputs.items():
            loc: Loc = ("inputs", name)
            if spec.items and spec.type != "array":
                self._add(f"input `{name}` has `items` but is no array", (*loc, "items"), "use `type: array`")
            if spec.min is not None and spec.max is not None:
                try:
                    if spec.min > spec.max:  # type: ignore[operator]
                        self._add(f"input `{name}`: min {spec.min} is above max {spec.max}", (*loc, "min"))
                except TypeError:
                    self._add(f"input `{name}`: min and max are of different types", (*loc, "min"))
            if not spec.required:
                self._value(spec, spec.default, f"input `{name}`: the default", (*loc, "default"))

    def _value(self, spec: Input, value: Any, label: str, loc: Loc) -> None:
        try:
            input_values.coerce(spec, value)
        except ValueError as error:
            self._add(f"{label}: {error}", loc)

    def schedules(self) -> None:
        """Cron texts, time zones, inputs of schedules."""
        for index, schedule in enumerate(self._pipeline.schedule):
            loc: Loc = ("schedule", index)
            if fault := cron_fault(schedule.cron):
                self._add(f"cron `{schedule.cron}`: {fault}", (*loc, "cron"), "for example `0 5 * * *`")
            try:
                ZoneInfo(schedule.timezone)
            except (KeyError, ValueError, OSError):
                self._add(
                    f"there is no time zone `{schedule.timezone}`",
                    (*loc, "timezone"),
                    "use a name such as Europe/Paris",
                )
            for name, value in schedule.inputs.items():
                self._input(self._pipeline, name, value, (*loc, "inputs", name))

    def _input(self, pipeline: Pipeline, name: str, value: Any, loc: Loc) -> None:
        spec = pipeline.inputs.get(name)
        if spec is None:
            fix = did_you_mean(name, pipeline.inputs, otherwise="inputs")
            self._add(f"pipeline `{pipeline.name}` has no input `{name}`", loc, fix, key=True)
        elif not _has_template(value):
            self._value(spec, value, f"input `{name}`", loc)

    def order(self) -> None:
        """`needs` name tasks, and not in a circle."""
        tasks = self._pipeline.tasks
        for name, task in tasks.items():
            for index, need in enumerate(task.needs):
                if need not in tasks:
                    self._add(
                        f"task `{name}` needs `{need}`, which is no task",
                        ("tasks", name, "needs", index),
                        did_you_mean(need, tasks, otherwise="tasks"),
                    )
                elif need in task.needs[:index]:
                    self._add(f"task `{name}` needs `{need}` twice", ("tasks", name, "needs", index))
        graph = {name: [need for need in task.needs if need in tasks] for name, task in tasks.items()}
        try:
            graphlib.TopologicalSorter(graph).prepare()
        except graphlib.CycleError as error:
            circle = error.args[1]
            self._add(
                f"tasks need each other in a circle: {' -> '.join(reversed(circle))}",
                ("tasks", circle[0], "needs"),
                "remove one of these needs",
            )

    def lookback(self) -> None:
        """The look-back may name inputs only."""
        loc: Loc = ("interval", "lookback")
        self._templates(self._pipeline.interval.lookback, loc, {"inputs": tuple(self._pipeline.inputs)})

    def task(self, name: str, task: Task) -> None:
        """One task: its matrix, condition, templates and action."""
        loc: Loc = ("tasks", name)
        names = self._names(name, task)
        self._matrix(name, task, names)
        self._condition(task, loc)
        without_matrix = {key: value for key, value in names.items() if key not in ("matrix", "env")}
        for variable, text in self._pipeline.env.items():
            if name == next(iter(self._pipeline.tasks)):
                self._templates(
                    text, ("env", variable), {k: v for k, v in without_matrix.items() if k != "tasks"}
                )
        for variable, text in task.env.items():
            self._templates(
                text, (*loc, "env", variable), {**without_matrix, "matrix": names.get("matrix", ())}
            )
        value = getattr(task, task.kind)
        raw = value if task.kind == "run" else value.model_dump(exclude_unset=True, by_alias=True)
        if task.alert:
            # Receivers are known before the run, so that the same one is the same in every run.
            fixed = {key: known for key, known in names.items() if key not in ("run", "tasks")}
            self._templates(raw.pop("to", []), (*loc, "alert", "to"), fixed)
        self._templates(raw, (*loc, task.kind), names)
        if task.ingest:
            self._table(task, loc)
        if task.pipeline:
            self._subpipeline(task, loc)
        if task.sensor and task.sensor.pipeline:
            self._exists(task.sensor.pipeline.name, (*loc, "sensor", "pipeline", "name"))
        self._files(task, loc)

    def _files(self, task: Task, loc: Loc) -> None:
        """Tables have two parts, folders are no whole buckets; what a template decides is checked by the run."""
        if task.export:
            self._folder(task.export.to, (*loc, "export", "to"))
            self._table_name(task.export.table, (*loc, "export", "table"))
        if task.alert:
            self._table_name(task.alert.table, (*loc, "alert", "table"))
        if task.transfer:
            for key, text in (("from", task.transfer.source), ("to", task.transfer.to)):
                self._folder(text, (*loc, "transfer", key))
        if task.purge and task.purge.path:
            self._folder(task.purge.path, (*loc, "purge", "path"))

    def _table_name(self, table: str | None, loc: Loc) -> None:
        if table and not _has_template(table) and not re.fullmatch(TABLE_PATTERN, table):
            self._add(f"`{table}` is no table", loc, "write it as dataset.table")

    def _folder(self, url: str, loc: Loc) -> None:
        if not _has_template(url) and (fault := place_fault(url)):
            self._add(f"`{url}` {fault}", loc, "write gs://BUCKET/FOLDER or a path")

    def _names(self, name: str, task: Task) -> dict[str, Any]:
        names: dict[str, Any] = {
            "inputs": tuple(self._pipeline.inputs),
            "interval": templates.INTERVAL_NAMES,
            "window": templates.INTERVAL_NAMES,
            "run": templates.RUN_NAMES,
            "env": tuple({**self._pipeline.env, **task.env}),
            "secrets": None,
            "tasks": tuple(ancestors(self._pipeline, name)),
        }
        if task.matrix:
            first = task.matrix.include[0] if task.matrix.include else {}
            names["matrix"] = tuple(dict.fromkeys([*task.matrix.axes, *first]))
        return names

    def _templates(self, value: Any, loc: Loc, names: Mapping[str, Any]) -> None:
        for place, text in _texts(value, loc):
            try:
                for reference in templates.references(text):
                    self._reference(reference.path, reference.text, names)
            except TemplateError as error:
                fix = did_you_mean(error.word, error.known, otherwise="there are") if error.known else ""
                self._add(str(error), place, fix)

    def _reference(self, path: tuple[str, ...], text: str, names: Mapping[str, Any]) -> None:
        space, rest = path[0], path[1:]
        if space not in names:
            if space in templates.NAMESPACES:
                raise TemplateError(f"`{space}` cannot be used here, in `{text}`", "", ())
            raise TemplateError(f"unknown name `{space}` in `{text}`", space, tuple(names))
        if not rest:
            raise TemplateError(f"`{text}` names no value of `{space}`", "", tuple(names[space] or ()))
        known = names[space]
        if known is not None and rest[0] not in known:
            raise TemplateError(f"there is no `{space}.{rest[0]}` in `{text}`", rest[0], tuple(known))
        if space == "tasks":
            if len(rest) < 3 or rest[1] != "outputs":
                raise TemplateError(f"`{text}`: write tasks.{rest[0]}.outputs.<name>")
        elif space != "inputs" and len(rest) > 1:
            raise TemplateError(f"`{text}`: `{space}.{rest[0]}` has no parts")

    def _matrix(self, name: str, task: Task, names: Mapping[str, Any]) -> None:
        matrix = task.matrix
        if not matrix:
            return
        loc: Loc = ("tasks", name, "matrix")
        outside = {key: value for key, value in names.items() if key in ("inputs", "tasks")}
        runtime = 0
        for axis, value in matrix.axes.items():
            if not re.fullmatch(r"[A-Za-z_]\w*", axis):
                self._add(f"`{axis}` is not a name", (*loc, axis), key=True)
            if isinstance(value, list):
                if not value:
                    self._add(f"the list `{axis}` of the matrix is empty", (*loc, axis))
                continue
            try:
                found = list(templates.references(value))
            except TemplateError as error:
                self._add(str(error), (*loc, axis), did_you_mean(error.word, error.known))
                continue
            if len(found) != 1 or found[0].text != value.strip() or found[0].filters:
                self._add(f"`{axis}` of the matrix is neither a list nor one template", (*loc, axis))
                continue
            self._templates(value, (*loc, axis), outside)
            path = found[0].path
            runtime += path[0] == "tasks"
            spec = self._pipeline.inputs.get(path[1]) if path[0] == "inputs" and len(path) == 2 else None
            if spec and spec.type != "array":
                self._add(f"input `{path[1]}` is no array, so `{axis}` is no list", (*loc, axis))
        if runtime > 1:
            self._add("only one list of a matrix can come from another task", loc)
        self._matrix_items(matrix.include, matrix.exclude, tuple(names["matrix"]), set(matrix.axes), loc)

    def _matrix_items(
        self,
        include: list[dict[str, Any]],
        exclude: list[dict[str, Any]],
        keys: tuple[str, ...],
        axes: set[str],
        loc: Loc,
    ) -> None:
        for index, item in enumerate(include):
            if missing := sorted(set(keys) - set(item)):
                self._add(
                    f"this item has no `{missing[0]}`",
                    (*loc, "include", index),
                    "give every item the same keys",
                )
            elif extra := sorted(set(item) - (axes or set(keys))):
                self._add(
                    f"only this item has `{extra[0]}`",
                    (*loc, "include", index),
                    "give every item the same keys",
                )
        for index, item in enumerate(exclude):
            for key in item:
                if key not in axes:
                    fix = did_you_mean(key, axes, otherwise="lists")
                    self._add(f"the matrix has no list `{key}`", (*loc, "exclude", index, key), fix, key=True)

    def _condition(self, task: Task, loc: Loc) -> None:
        text = task.condition
        if text in ("success", "always", "failure"):
            return
        try:
            paths = templates.condition_paths(text)
        except TemplateError as error:
            self._add(str(error), (*loc, "if"), "use success, always, failure or a condition over inputs")
            return
        if not paths:
            fix = (
                did_you_mean(text, ("success", "always", "failure"))
                or "compare an input, like inputs.x == true"
            )
            self._add(f"`if: {text}` reads no input", (*loc, "if"), fix)
        for path in paths:
            if path[0] != "inputs" or len(path) != 2:
                fix = did_you_mean(path[0], ("success", "always", "failure", "inputs"))
                self._add(
                    f"`{'.'.join(path)}` is not an input", (*loc, "if"), fix or "conditions read inputs only"
                )
            elif path[1] not in self._pipeline.inputs:
                fix = did_you_mean(path[1], self._pipeline.inputs, otherwise="inputs")
                self._add(f"there is no `inputs.{path[1]}`", (*loc, "if"), fix)

    def _table(self, task: Task, loc: Loc) -> None:
        """Sources and tables are known unless a run decides them; inputs that list tables are checked by default."""
        from adelt_sources.catalog import catalog, sources
        from adelt_sources.errors import SourceError

        assert task.ingest
        source, table = task.ingest.source, task.ingest.table
        if _has_template(source):
            return
        if source not in sources():
            fix = did_you_mean(source, sources(), otherwise="sources")
            self._add(f"there is no source `{source}`", (*loc, "ingest", "source"), fix)
            return
        try:
            known = catalog(source)
        except SourceError as error:  # pragma: no cover - a broken declaration is not the pipeline's fault
            self._add(error.what, (*loc, "ingest", "source"), error.fix)
            return
        for word, place in self._table_names(task, table, loc):
            if word not in known:
                fix = did_you_mean(word, known, otherwise="tables")
                self._add(f"source `{source}` has no table `{word}`", place, fix)

    def _table_names(self, task: Task, table: str, loc: Loc) -> Iterator[tuple[str, Loc]]:
        if not _has_template(table):
            yield table, (*loc, "ingest", "table")
            return
        try:
            found = [r.path for r in templates.references(table) if r.text == table.strip() and not r.filters]
        except TemplateError:
            return
        if not found:
            return
        space, *rest = found[0]
        if space == "matrix" and task.matrix and len(rest) == 1:
            values = task.matrix.axes.get(rest[0], [])
            place: Loc = (*loc, "matrix", rest[0])
            for index, item in enumerate(task.matrix.include):
                if isinstance(item.get(rest[0]), str):
                    yield str(item[rest[0]]), (*loc, "matrix", "include", index, rest[0])
            if isinstance(values, str):
                path = [r.path for r in templates.references(values)]
                yield from self._input_values(path[0] if path else ())
            else:
                yield from ((str(value), (*place, index)) for index, value in enumerate(values))
        else:
            yield from self._input_values(found[0])

    def _input_values(self, path: tuple[str, ...]) -> Iterator[tuple[str, Loc]]:
        if len(path) != 2 or path[0] != "inputs" or path[1] not in self._pipeline.inputs:
            return
        spec = self._pipeline.inputs[path[1]]
        if isinstance(spec.default, list):
            for index, value in enumerate(spec.default):
                yield str(value), ("inputs", path[1], "default", index)
        elif isinstance(spec.default, str):
            yield spec.default, ("inputs", path[1], "default")

    def _exists(self, name: str, loc: Loc) -> Pipeline | None:
        if name == self._pipeline.name:
            self._add(f"pipeline `{name}` refers to itself", loc)
            return None
        try:
            return self._peek(name)
        except AdeltError as error:
            self._add(error.what, loc, error.fix)
            return None

    def _subpipeline(self, task: Task, loc: Loc) -> None:
        assert task.pipeline
        place: Loc = (*loc, "pipeline", "name")
        other = self._exists(task.pipeline.name, place)
        if other is None:
            return
        for name, value in task.pipeline.inputs.items():
            self._input(other, name, value, (*loc, "pipeline", "inputs", name))
        for name, spec in other.inputs.items():
            if spec.required and name not in {**task.pipeline.inputs, **self._pipeline.inputs}:
                self._add(
                    f"pipeline `{other.name}` must be given the input `{name}`",
                    place,
                    f"add `{name}` to its inputs",
                )
        if circle := self._circle(other, [self._pipeline.name]):
            self._add(f"pipelines run each other in a circle: {' -> '.join(circle)}", place)

    def _circle(self, pipeline: Pipeline, above: list[str]) -> list[str]:
        if pipeline.name in above:
            return [*above[above.index(pipeline.name) :], pipeline.name] if pipeline.name == above[0] else []
        for task in pipeline.tasks.values():
            if task.pipeline is None:
                continue
            if task.pipeline.name == above[0]:
                return [*above, pipeline.name, above[0]]
            try:
                other = self._peek(task.pipeline.name)
            except DefinitionErrors:
                continue
            except AdeltError:
                continue
            if other and (circle := self._circle(other, [*above, pipeline.name])):
                return circle
        return []


def place_fault(url: str) -> str:
    """What is wrong with a URL or path as a place for files; empty if nothing is."""
    if not url.startswith("gs://"):
        return "is neither in Cloud Storage nor a path" if "://" in url else ""
    bucket, _, rest = url.removeprefix("gs://").partition("/")
    return "" if bucket and rest.strip("/") else "is a whole bucket"


def ancestors(pipeline: Pipeline, name: str) -> list[str]:
    """Tasks that are over when a task starts, in the order of the file."""
    seen: set[str] = set()
    stack = list(pipeline.tasks[name].needs)
    while stack:
        need = stack.pop()
        if need not in seen and need in pipeline.tasks:
            seen.add(need)
            stack += pipeline.tasks[need].needs
    return [task for task in pipeline.tasks if task in seen]


def cron_fault(text: str) -> str:
    """What is wrong with a five-field cron text; empty if nothing is."""
    fields = text.split()
    if len(fields) != 5:
        return f"{len(fields)} fields, expected 5 (minute hour day month weekday)"
    for field, (low, high), names in zip(fields, _CRON_BOUNDS, _CRON_NAMES, strict=True):
        for part in field.split(","):
            span, _, step = part.partition("/")
            if step and (not step.isdigit() or int(step) == 0):
                return f"`{part}` has a wrong step"
            if span == "*":
                continue
            ends = []
            for end in span.split("-"):
                word = end.lower()
                number = names.index(word) + low if word in names else int(end) if end.isdigit() else -1
                if not low <= number <= high:
                    return f"`{end}` is not between {low} and {high}"
                ends.append(number)
            if len(ends) > 2 or ends != sorted(ends):
                return f"`{span}` is not a range"
    return ""


def _texts(value: Any, loc: Loc) -> Iterator[tuple[Loc, str]]:
    if isinstance(value, str):
        yield loc, value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _texts(item, (*loc, key))
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _texts(item, (*loc, index))


def _has_template(value: Any) -> bool:
    return any("{{" in text for _, text in _texts(value, ()))
