"""Commands that run: run, task; and runs, which shows what ran."""

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adelt.cli.app import Inputs, Json, TargetOption, pairs
from adelt.cli.intervals import DateOption, FromOption, IntervalOption, ToOption, intervals
from adelt.cli.output import human_bytes, human_seconds, print_json, print_table
from adelt.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from adelt.definition import Definition
    from adelt.settings import Settings
    from adelt.window import Interval

Force = Annotated[bool, typer.Option("--force", help="Run tasks although they are done.")]
IfChanged = Annotated[
    bool, typer.Option("--if-changed", help="Run tasks that are done if their definition has changed since.")
]


def run(
    pipeline: Annotated[str, typer.Argument(help="A pipeline's name or file.")],
    interval: IntervalOption = None,
    day: DateOption = None,
    first: FromOption = None,
    last: ToOption = None,
    inputs: Inputs = None,
    select: Annotated[list[str] | None, typer.Option("--select", help="Only this task. Repeatable.")] = None,
    force: Force = False,
    if_changed: IfChanged = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show the plan instead.")] = False,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Run a pipeline; what is done already is not done again."""
    if dry_run:
        from adelt.cli.definitions import plan

        plan(pipeline, interval, day, first, last, inputs, select, force, target, as_json)
        return
    from adelt import definition, settings, warm
    from adelt.cli.terminal import watching
    from adelt.engine import RunRequest, run_pipeline
    from adelt.run import workers

    here = settings.load(target)
    loaded = definition.find(pipeline, here.project)
    _check_cost(
        here, loaded, intervals(loaded.pipeline, interval, day, first, last), inputs, select, force=force
    )
    results = []
    stack = settings.take_handover().stack
    with watching(quiet=as_json) as listener, workers.opened(warm.server(here)) as forked:
        for one in intervals(loaded.pipeline, interval, day, first, last):
            request = RunRequest(
                definition=loaded,
                interval=one,
                inputs=pairs(inputs, "-i"),
                select=tuple(select or ()),
                force=force,
                if_changed=if_changed,
                stack=stack,
                workers=forked,
            )
            results.append(run_pipeline(here, request, [listener]))
            if results[-1].exit_code:
                break  # later intervals build on this one
    if as_json:
        print_json(results)
    if code := results[-1].exit_code:
        raise typer.Exit(code)


def _check_cost(
    here: "Settings",
    loaded: "Definition",
    wanted: "Iterable[Interval]",
    inputs: list[str] | None,
    select: list[str] | None,
    *,
    force: bool,
) -> None:
    """Refuse runs of which one is estimated to cost more than its target allows, if the target has a limit."""
    if here.warehouse.max_run_bytes is None:
        return
    from adelt import preview
    from adelt.cli import limits

    given, chosen = pairs(inputs, "-i"), tuple(select or ())
    limits.check(here, (preview.preview(here, loaded, one, given, chosen, force=force) for one in wanted))


def task(
    name: Annotated[str, typer.Argument(metavar="PIPELINE.TASK", help="The task.")],
    interval: Annotated[
        str | None, typer.Option("--interval", help="START/END, END not included; goes before --at.")
    ] = None,
    at: Annotated[
        str | None,
        typer.Option(
            "--at", help="An instant: the last interval that was over on its day, as written; or START/END."
        ),
    ] = None,
    run_id: Annotated[
        str, typer.Option("--run-id", help="The run it belongs to; a new one by default.")
    ] = "",
    matrix: Annotated[
        list[str] | None, typer.Option("--matrix", help="The matrix item, key=value. Repeatable.")
    ] = None,
    inputs: Inputs = None,
    outputs: Annotated[
        list[str] | None,
        typer.Option("--output", help="An output of an earlier task, task.name=value. Repeatable."),
    ] = None,
    publish: Annotated[
        str, typer.Option("--publish", help="Hand outputs to the engine: airflow, kestra or orchestra.")
    ] = "",
    force: Force = False,
    if_changed: IfChanged = False,
    again: Annotated[
        bool, typer.Option("--again", help="Do it although it is done, if this run did it: it was cleared.")
    ] = False,
    nodes: Annotated[
        Path | None,
        typer.Option(
            "--dbt-nodes", help="Of a dbt task only this: see that the file has the nodes it would build."
        ),
    ] = None,
    dbt_done: Annotated[
        bool, typer.Option("--dbt-done", help="Every part of this dbt task is done: so is the task.")
    ] = False,
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="-- WORDS", help="Of a dbt task only this part, as words for dbt: run --select fct_x."
        ),
    ] = None,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Do one task of a pipeline, as every engine does: exit code 0 done, 1 retry, 2 do not retry."""
    from adelt import definition, ids, parts, settings
    from adelt import publish as publishing
    from adelt.cli.intervals import task_interval
    from adelt.taskrun import TaskRequest, run_task

    publishing.check(publish)
    part = parts.read(words or (), nodes, dbt_done)
    handover = settings.take_handover()
    here = settings.load(target)
    pipeline, dot, task_name = name.rpartition(".")
    if not dot or not pipeline:
        raise InputError(f"`{name}` is not PIPELINE.TASK", fix="for example dv360_reports.ingest")
    loaded = definition.find(pipeline, here.project)
    span = task_interval(loaded.pipeline, interval, at)
    settings.export_settings(here)
    result = run_task(
        here,
        TaskRequest(
            definition=loaded,
            task=task_name,
            item=pairs(matrix, "--matrix"),
            interval=span,
            inputs=pairs(inputs, "-i"),
            outputs=pairs(outputs, "--output"),
            run_id=run_id or ids.new_id(),
            force=force,
            if_changed=if_changed,
            again=again,
            part=part,
        ),
        handover,
    )
    if as_json:
        print_json(result)
    else:
        print(f"{result.task}: {result.status.lower()}" + (f", {result.message}" if result.message else ""))
    if publish and not result.exit_code:
        publishing.publish(publish, result.outputs, result.assets)
    if result.exit_code:
        sys.stdout.flush()
        raise typer.Exit(result.exit_code)


def runs(
    run_id: Annotated[
        str, typer.Argument(help="A run, or the beginning or end of its id; shows its tasks.")
    ] = "",
    pipeline: Annotated[str, typer.Option("--pipeline", help="Only runs of this pipeline.")] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, help="How many runs.")] = 20,
    log: Annotated[
        str | None, typer.Option("--log", help="Print the last log of this task of the run.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show what ran, newest first; with an id the tasks of that run."""
    from adelt import settings
    from adelt.engine import open_ledger

    if log is not None and not run_id:
        raise InputError("--log belongs to a run", fix=f"adelt runs RUN --log {log}")
    here = settings.load()
    if not here.ledger.exists():
        if as_json:
            print_json([])
        elif run_id:
            raise InputError(f"there is no run `{run_id}`", where=str(here.ledger), fix="nothing has run yet")
        else:
            print("nothing has run yet")
        return
    ledger = open_ledger(here)
    ledger.recover()
    if not run_id:
        found = ledger.runs(limit, pipeline)
        if as_json:
            print_json(found)
            return
        print_table(
            ("run", "pipeline", "interval", "status", "tasks", "took", "started", "message"),
            [_run_row(row) for row in found],
        )
        return
    row = _one_run(ledger.find_runs(run_id), run_id, str(here.ledger))
    tasks, operations = ledger.tasks(row["id"]), ledger.operations(row["id"])
    if log is not None:
        _print_log(tasks, log, row["id"])
    elif as_json:
        print_json({**row, "tasks": tasks, "operations": operations})
    else:
        title = f"{row['pipeline']}  {row['interval_start']}/{row['interval_end']}  {row['status']}  run {row['id']}"
        print_table(
            ("task", "try", "status", "took", "rows", "bytes", "message"),
            [_task_row(t) for t in tasks],
            title=title,
        )
        if row["message"]:
            print(row["message"])


def _one_run(found: list[dict[str, Any]], wanted: str, where: str) -> dict[str, Any]:
    if len(found) == 1:
        return found[0]
    if not found:
        raise InputError(f"there is no run `{wanted}`", where=where, fix="`adelt runs` lists them")
    raise InputError(
        f"{len(found)} runs match `{wanted}`", where=where, fix=f"use more of the id, like {found[-1]['id']}"
    )


def _print_log(tasks: list[dict[str, Any]], wanted: str, run_id: str) -> None:
    logged = [task for task in tasks if task["log_path"]]
    found = [task for task in logged if wanted in (task["instance"], task["task"])]
    if not found:
        names = [task["instance"] for task in logged]
        raise InputError(
            f"run {run_id} has no log of `{wanted}`",
            fix=did_you_mean(wanted, names, otherwise="tasks with a log"),
        )
    path = Path(found[-1]["log_path"])
    if not path.exists():
        raise InputError("the log is gone", where=str(path))
    sys.stdout.write(path.read_text("utf-8", "replace"))


def _run_row(row: dict[str, Any]) -> tuple[Any, ...]:
    interval = f"{row['interval_start']}/{row['interval_end']}"
    took = human_seconds(_seconds(row))
    tasks = f"{row['tasks']}" + (f" ({row['failed_tasks']} failed)" if row["failed_tasks"] else "")
    return (
        row["id"],
        row["pipeline"],
        interval,
        row["status"],
        tasks,
        took,
        row["created_at"][:19],
        row["message"][:80],
    )


def _task_row(row: dict[str, Any]) -> tuple[Any, ...]:
    rows = row["metrics"].get("rows")
    return (
        row["instance"],
        row["attempt"] or "",
        row["status"],
        human_seconds(_seconds(row)) if row["attempt"] else "",
        f"{rows:,}" if rows is not None else "",
        human_bytes(row["metrics"].get("bytes")),
        row["message"][:120],
    )


def _seconds(row: dict[str, Any]) -> float | None:
    from datetime import datetime

    if not row["started_at"] or not row["completed_at"]:
        return None
    return (
        datetime.fromisoformat(row["completed_at"]) - datetime.fromisoformat(row["started_at"])
    ).total_seconds()
