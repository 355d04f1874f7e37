"""Commands that only read: validate, plan, tables, schema."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adelt.cli.app import Inputs, Json, TargetOption, pairs
from adelt.cli.intervals import DateOption, FromOption, IntervalOption, ToOption, intervals
from adelt.cli.output import human_bytes, print_json, print_table
from adelt.errors import AdeltError, DefinitionErrors, InputError

if TYPE_CHECKING:
    from adelt.preview import Preview, TaskPreview
    from adelt.settings import Settings


def validate(
    files: Annotated[
        list[Path] | None, typer.Argument(help="Pipeline files; all of pipelines/ by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check pipeline files; every error with its line."""
    from adelt import definition, settings

    project = settings.load().project
    paths = files or definition.find_all(project)
    if not paths:
        raise InputError("there are no pipelines", where=str(project / "pipelines"), fix="add a file there")
    found: list[dict[str, Any]] = []
    problems: list[AdeltError] = []
    for path in paths:
        try:
            loaded = definition.load(path, project)
            found.append(
                {"file": loaded.path, "pipeline": loaded.pipeline.name, "tasks": len(loaded.pipeline.tasks)}
            )
        except DefinitionErrors as error:
            problems += error.problems
    if as_json:
        errors = [{"what": p.what, "where": p.where, "fix": p.fix} for p in problems]
        print_json({"valid": found, "errors": errors})
        if problems:
            raise typer.Exit(2)
        return
    for item in found:
        print(f"ok {item['file']}: {item['pipeline']}, {item['tasks']} task{'s' * (item['tasks'] != 1)}")
    if problems:
        raise DefinitionErrors(problems)


def plan(
    pipeline: Annotated[str, typer.Argument(help="A pipeline's name or file.")],
    interval: IntervalOption = None,
    day: DateOption = None,
    first: FromOption = None,
    last: ToOption = None,
    inputs: Inputs = None,
    select: Annotated[list[str] | None, typer.Option("--select", help="Only this task. Repeatable.")] = None,
    force: Annotated[bool, typer.Option("--force", help="As if nothing had been done.")] = False,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Show what a run would do, and what is done already, without doing it."""
    from adelt import definition, preview, settings

    here = settings.load(target)
    loaded = definition.find(pipeline, here.project)
    previews = [
        preview.preview(here, loaded, one, pairs(inputs, "-i"), tuple(select or ()), force=force)
        for one in intervals(loaded.pipeline, interval, day, first, last)
    ]
    bytes_ = _bytes(here, previews)
    if as_json:
        print_json(
            [{**vars(item), "bytes": found} for item, found in zip(previews, bytes_, strict=True)]
            if bytes_ is not None
            else previews
        )
        return
    for number, item in enumerate(previews):
        rows: list[tuple[str, ...]] = [
            (task.id, task.state, ", ".join(task.needs), task.does) for task in item.tasks
        ]
        head: tuple[str, ...] = ("task", "state", "needs", "does")
        if bytes_ is not None:
            head = (*head, "bytes")
            costs = [_cost(bytes_[number], task) for task in item.tasks]
            rows = [(*row, cost) for row, cost in zip(rows, costs, strict=True)]
        print_table(
            head,
            rows,
            title=f"{item.pipeline}  {item.interval}"
            + (f"  window {item.window}" if item.window != item.interval else ""),
        )
        print(f"{item.to_run} to run, {item.done} done")
    if bytes_ is not None:
        found = [one for each in bytes_ for one in each.values()]
        unknown = found.count(None)
        print(
            f"estimate: {human_bytes(sum(one or 0 for one in found))} billed"
            + (f", {unknown} task{'s' * (unknown != 1)} unknown" if unknown else "")
        )


def _bytes(here: "Settings", previews: "list[Preview]") -> list[dict[str, int | None]] | None:
    """What each task of each run would cost; None where nothing is billed."""
    from adelt_sources.warehouse import BigQuery

    if not isinstance(here.warehouse, BigQuery):
        return None
    from adelt import cost

    return [cost.estimate(here, one) for one in previews]


def _cost(bytes_: dict[str, int | None], task: "TaskPreview") -> str:
    if task.id not in bytes_:
        return ""
    found = bytes_[task.id]
    return "?" if found is None else human_bytes(found)


def tables(
    name: Annotated[str, typer.Argument(help="SOURCE or SOURCE.TABLE; everything by default.")] = "",
    as_json: Json = False,
) -> None:
    """Show what can be ingested: sources, tables, columns."""
    from adelt_sources.catalog import catalog, source_spec, sources, table_spec

    source, _, table = name.partition(".")
    if table:
        spec = table_spec(source, table)
        if as_json:
            print_json(spec)
            return
        print(f"{source}.{spec.name} -> {spec.qualified}\n{spec.description}")
        print(f"key: {', '.join(spec.key)}; write mode: {spec.write}; look-back: {spec.lookback_days} days\n")
        print_table(
            ("column", "type", "description"),
            [(c.name, type_name(c.type), c.description) for c in spec.columns],
        )
        return
    names = [source] if source else sources()
    if as_json:
        print_json({name: {key: spec.qualified for key, spec in catalog(name).items()} for name in names})
        return
    for one in names:
        rows = [(f"{one}.{key}", spec.qualified, spec.description) for key, spec in catalog(one).items()]
        print_table(
            ("table", "lands in", "description"), rows, title=f"{one}: {source_spec(one).description}"
        )


def type_name(kind: Any) -> str:
    """A declared type in short: `bigint`, `list of record(3)`."""
    from adelt_sources.catalog import ListOf, Record

    if isinstance(kind, ListOf):
        return f"list of {type_name(kind.item)}"
    if isinstance(kind, Record):
        return f"record({', '.join(kind.fields)})"
    return str(kind.name)


def schema(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON (always so).")] = True,  # noqa: ARG001
) -> None:
    """Print the JSON Schema of pipeline files; `adelt generate` writes it to docs/reference."""
    from adelt.definition import schema as schemas

    print(schemas.text(), end="")


def generate(
    check: Annotated[
        bool, typer.Option("--check", help="Write nothing; exit 2 if a file is out of date.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Write what follows from declarations: dbt's sources, the JSON Schema of pipelines."""
    from adelt import generate as generator
    from adelt import settings
    from adelt.definition import schema as schemas

    project = settings.load().project
    stale = [str(path.relative_to(project)) for path in generator.write(project, check=check)]
    path = project / schemas.PATH
    if not path.exists() or path.read_text("utf-8") != schemas.text():
        stale.append(schemas.PATH)
        if not check:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(schemas.text(), "utf-8")
    if as_json:
        print_json({"out_of_date" if check else "written": stale})
    elif not check:
        for name in stale:
            print(f"wrote {name}")
    if check and stale:
        for name in stale:
            print(f"out of date: {name}", file=sys.stderr)
        print("  fix  adelt generate", file=sys.stderr)
        raise typer.Exit(1)
