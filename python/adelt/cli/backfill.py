"""The command backfill: plan, do, resume and show backfills. `run_multiple_pipelines.py` is the same as a script."""

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TypeVar

import typer

from adelt.cli.app import Inputs, Json, TargetOption, error_text, pairs
from adelt.cli.output import human_seconds, print_json, print_table
from adelt.errors import AdeltError, InputError

if TYPE_CHECKING:
    from pydantic import BaseModel

    from adelt.backfill import BackfillPlan, Spec
    from adelt.backfill.conduct import Ended
    from adelt.ledger import Held, Ledger
    from adelt.ledger.backfills import Backfill, Backfills, Work
    from adelt.run import events
    from adelt.settings import Settings

    M = TypeVar("M", bound=BaseModel)
    Listener = Callable[[events.Event], None]
    OnEnd = Callable[[Ended], None]

_SHOWN = 20  # lines of a plan


def backfill(
    pipelines: Annotated[list[str] | None, typer.Argument(help="Names or files of pipelines.")] = None,
    first: Annotated[str | None, typer.Option("--from", help="First day.")] = None,
    last: Annotated[str | None, typer.Option("--to", help="Last day, included.")] = None,
    chunk: Annotated[
        str | None,
        typer.Option("--chunk", help="Days of one run: day, week or month; the pipeline's own by default."),
    ] = None,
    inputs: Inputs = None,
    select: Annotated[list[str] | None, typer.Option("--select", help="Only this task. Repeatable.")] = None,
    config: Annotated[
        Path | None, typer.Option("--config", help="A YAML file with several pipelines instead.")
    ] = None,
    order: Annotated[
        str | None, typer.Option("--order", help="Which chunk comes first: oldest (default) or newest.")
    ] = None,
    parallel: Annotated[int | None, typer.Option("--parallel", help="Chunks at a time (1).")] = None,
    transform: Annotated[
        str | None,
        typer.Option("--transform", help="dbt once at the end (default) or in every chunk: end or chunk."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option("--engine", help="Who runs the chunks: local (default), airflow or orchestra."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Do tasks again that are done.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show chunks and what they will take instead.")
    ] = False,
    resume: Annotated[
        str | None, typer.Option("--resume", help="Do what is missing of a backfill: its id, or last.")
    ] = None,
    retry_unknown: Annotated[
        bool,
        typer.Option(
            "--retry-unknown", help="With --resume: start again where nobody knows if it was started."
        ),
    ] = False,
    status: Annotated[str | None, typer.Option("--status", help="Show a backfill: its id, or last.")] = None,
    target: TargetOption = None,
    as_json: Json = False,
) -> None:
    """Run pipelines for a range of days, chunk by chunk; what is missing can be resumed."""
    from adelt import definition, settings
    from adelt.backfill import plan_backfill
    from adelt.cli import conductors
    from adelt.engine import open_ledger
    from adelt.ledger.backfills import Backfills

    here = settings.load(target)
    asked = {
        "pipelines": pipelines, "--from": first, "--to": last, "--chunk": chunk, "-i": inputs, "--select": select,
        "--config": config, "--order": order, "--parallel": parallel, "--transform": transform, "--engine": engine,
        "--force": force,
    }  # fmt: skip
    if retry_unknown and not resume:
        raise InputError(
            "--retry-unknown belongs to --resume", fix="adelt backfill --resume ID --retry-unknown"
        )
    if resume and status:
        raise InputError(
            "--status and --resume exclude each other", fix=f"first adelt backfill --status {status}"
        )
    if resume or status:
        _check_alone("--resume" if resume else "--status", asked)
        found = _one(here, resume or status or "")
        if status:
            _show(found, Backfills(open_ledger(here)), as_json=as_json)
            return
        spec = _recorded(found)
    else:
        spec = _spec(asked)
    conductor = conductors.conductor(spec, here, target, retry_unknown=retry_unknown)
    plan = plan_backfill(spec, lambda name: definition.find(name, here.project), conductor.place)
    if resume:
        _check_same(found, plan, conductor.place)
    missing = {chunk.number for chunk in found.missing} if resume else {chunk.number for chunk in plan.chunks}
    left = replace(plan, chunks=tuple(chunk for chunk in plan.chunks if chunk.number in missing))
    conductor.check(list(left.chunks))
    ledger = open_ledger(here)
    ledger.recover()
    if dry_run:
        _preview(here, left, ledger, conductor.place, as_json=as_json)
        return
    store = Backfills(ledger)
    if resume:
        if held := store.resume(found, elsewhere=spec.engine != "local"):
            raise _held(held)
    else:
        found = _begin(conductor.place, store, plan)
    try:
        with _watching(len(found.missing), quiet=as_json) as (listener, on_end):
            code = conductor.conduct(ledger, found, plan, listener, on_end)
    except AdeltError as error:
        print(error_text(error), file=sys.stderr)
        code = error.exit_code
    (found,) = store.find(found.id)
    _show(found, store, as_json=as_json)
    if code and not as_json:
        print(f"\nto go on: adelt backfill --resume {found.id}", file=sys.stderr)
    if code:
        raise typer.Exit(code)


def _check_alone(option: str, asked: dict[str, Any]) -> None:
    given = [name for name, value in asked.items() if value]
    if given:
        raise InputError(
            f"{option} takes everything from the backfill; {', '.join(given)} cannot be said again",
            fix=f"leave {'them' if len(given) > 1 else 'it'} out, or begin another backfill",
        )


def _spec(asked: dict[str, Any]) -> "Spec":
    """What the options or the file ask for; options about the whole win over the file."""
    from adelt.backfill import Entry, Spec, load_spec
    from adelt.window import parse_day

    ways = {name: asked[f"--{name}"] for name in ("engine", "order", "parallel", "transform")}
    ways["force"] = asked["--force"] or None
    if asked["--config"]:
        _check_config_alone(asked)
        return _built(Spec, **{**dict(load_spec(asked["--config"])), **_given(ways)})
    if not asked["pipelines"]:
        raise InputError("no pipeline is given", fix="name one, like daily, or give --config FILE")
    if not (asked["--from"] and asked["--to"]):
        raise InputError("a backfill needs --from and --to", fix="both days are included: --from 2025-01-01")
    common = {
        "first": parse_day(asked["--from"], "--from"),
        "last": parse_day(asked["--to"], "--to"),
        "chunk": asked["--chunk"],
        "inputs": pairs(asked["-i"], "-i"),
        "select": tuple(asked["--select"] or ()),
    }
    entries = tuple(_built(Entry, pipeline=name, **common) for name in asked["pipelines"])
    return _built(Spec, pipelines=entries, **_given(ways))


def _given(options: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None}


def _check_config_alone(asked: dict[str, Any]) -> None:
    given = [n for n in ("pipelines", "--from", "--to", "--chunk", "-i", "--select") if asked[n]]
    if given:
        raise InputError(
            f"--config says it already: {', '.join(given)}",
            where=str(asked["--config"]),
            fix="write it into the file",
        )


def _built(model: "type[M]", **values: Any) -> "M":
    """A model of options; what does not fit is told as an option."""
    from pydantic import ValidationError

    try:
        return model(**values)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        raise InputError(
            f"`{first['input']}`: {first['msg'][:1].lower()}{first['msg'][1:]}",
            where=f"--{first['loc'][-1]}" if first["loc"] else "",
            fix="adelt backfill --help",
        ) from error


def _recorded(found: "Backfill") -> "Spec":
    from adelt.backfill import Spec

    return Spec.model_validate(found.spec)


def _one(here: "Settings", text: str) -> "Backfill":
    from adelt.engine import open_ledger
    from adelt.ledger.backfills import Backfills

    found = []
    if here.ledger.exists():
        ledger = open_ledger(here)
        ledger.recover()
        found = Backfills(ledger).find(text)
    if len(found) == 1:
        return found[0]
    raise InputError(
        f"{len(found)} backfills match `{text}`" if found else f"there is no backfill `{text}`",
        where=str(here.ledger),
        fix="use more of the id"
        if found
        else "the command that began it has printed its id; `last` is the newest",
    )


def _check_same(found: "Backfill", plan: "BackfillPlan", place: str) -> None:
    """The pipelines may have been edited since; then numbers of chunks would mean something else."""
    if found.env != place:
        raise InputError(
            f"the backfill loads {found.env}, and this is {place}",
            where=found.id,
            fix="give its --target"
            if plan.spec.engine == "local"
            else "set the address that it was begun with",
        )
    recorded = [(c.number, c.pipeline, c.interval_start, c.interval_end) for c in found.chunks]
    if recorded != [_row(chunk) for chunk in plan.chunks]:
        raise InputError(
            "the pipelines have changed since, and give other chunks now",
            where=found.id,
            fix="begin another backfill; tasks that are done will not be done again",
        )


def _row(chunk: Any) -> tuple[int, str, str, str]:
    return chunk.number, chunk.pipeline, str(chunk.interval.start), str(chunk.interval.end)


def _held(held: "Held") -> AdeltError:
    return AdeltError(
        f"backfill {held.run_id} is at work on the same pipelines, process {held.pid}",
        where=held.run_id,
        fix=f"wait until it is over; adelt backfill --status {held.run_id}",
    )


def _begin(place: str, store: Any, plan: "BackfillPlan") -> "Backfill":
    from adelt import ids
    from adelt.ledger.backfills import Chunk

    backfill_id = ids.new_id()
    spec = plan.spec.model_dump(mode="json", by_alias=True)
    if held := store.begin(backfill_id, place, spec, [Chunk(*_row(chunk)) for chunk in plan.chunks]):
        raise _held(held)
    (found,) = store.find(backfill_id)
    print(f"backfill {backfill_id}: {len(plan.chunks)} chunks", file=sys.stderr)
    return found  # type: ignore[no-any-return]


def _preview(here: "Settings", plan: "BackfillPlan", ledger: "Ledger", place: str, *, as_json: bool) -> None:
    from adelt import definition
    from adelt.backfill import estimate
    from adelt.backfill.estimate import DAILY_QUOTAS

    found = estimate(plan, ledger, place, lambda name: definition.find(name, here.project), here.environment)
    if as_json:
        chunks = [dict(zip(("number", "pipeline", "from", "to"), _row(c), strict=True)) for c in plan.chunks]
        print_json({"estimates": found, "chunks": chunks, "quotas": DAILY_QUOTAS})
        return
    rows = [
        (
            one.pipeline, one.chunks, one.tasks, one.done, one.unknown,
            human_seconds(one.seconds / plan.spec.parallel) if one.seconds is not None else "unknown",
            ", ".join(_requests(api, count) for api, count in sorted(one.requests.items())) or "unknown",
        )
        for one in found
    ]  # fmt: skip
    print_table(("pipeline", "chunks", "tasks", "done", "unknown", "takes", "requests"), rows)
    print(f"order: {plan.spec.order} first, {plan.spec.parallel} at a time; dbt: {plan.spec.transform}")
    if plan.spec.engine != "local":
        print(f"{place}: it is ready for this; times and requests are what the same tasks took here")
    for one in found:
        if one.days_of_quota > 1:
            print(f"{one.pipeline}: its requests are {one.days_of_quota:.1f} days of Google's daily quota")
    if any(one.unknown for one in found):
        print("unknown: tasks that have never succeeded here; run one chunk to learn what they take")
    lines: list[tuple[Any, ...]] = [(*_row(chunk), ", ".join(chunk.select) or "all") for chunk in plan.chunks]
    if len(lines) > _SHOWN:
        lines[_SHOWN // 2 : -_SHOWN // 2] = [("...", "", "", "", "")]
    print_table(("chunk", "pipeline", "from", "to (not included)", "tasks"), lines)


def _requests(api: str, count: float) -> str:
    from adelt.backfill.estimate import DAILY_QUOTAS

    quota = f" (of {DAILY_QUOTAS[api]:,} a day)" if api in DAILY_QUOTAS else ""
    return f"{count:,.0f} {api}{quota}"


def _show(found: "Backfill", store: "Backfills", *, as_json: bool) -> None:
    work = store.work(found.id)
    if as_json:
        print_json({**vars(found), "work": work})
        return
    counts = Counter(chunk.status for chunk in found.chunks)
    told = ", ".join(f"{count} {state.lower()}" for state, count in sorted(counts.items()))
    print(f"backfill {found.id}  {found.status}  {len(found.chunks)} chunks: {told}")
    if work.tasks:
        print(_told(work))
    shown: tuple[str, ...] = ("FAILED", "CANCELLED", "UNKNOWN")
    if found.spec.get("engine", "local") != "local":
        shown += ("STARTING", "RUNNING")
        if any(chunk.status == "RUNNING" for chunk in found.chunks):
            print(f"what is running goes on at {found.env}; --resume follows it")
        if any(chunk.status == "UNKNOWN" for chunk in found.chunks):
            print(
                f"unknown: nobody knows whether {found.env} took it. Look there. --resume looks again, and starts nothing"
                " twice; with --retry-unknown it starts what it does not find"
            )
    notable = [chunk for chunk in found.chunks if chunk.status in shown or chunk.tries > 1]
    if notable:
        print_table(
            ("chunk", "pipeline", "from", "to", "status", "tries", "run", "message"),
            [
                (
                    c.number,
                    c.pipeline,
                    c.interval_start,
                    c.interval_end,
                    c.status,
                    c.tries,
                    c.run_id,
                    c.message[:120],
                )
                for c in notable
            ],
        )


def _told(work: "Work") -> str:
    """How often the tasks were begun; the chunks that were begun more than once are listed below."""
    tasks = f"{work.tasks} task{'s' * (work.tasks != 1)}, begun {work.tries} time{'s' * (work.tries != 1)}"
    return f"{tasks}: {work.begun_again or 'none'} more than once, {work.done_again or 'none'} after it had succeeded"


@contextmanager
def _watching(total: int, *, quiet: bool) -> Iterator[tuple["Listener", "OnEnd"]]:
    """A bar with the time that is left on a terminal, a line for each chunk elsewhere."""
    from adelt.cli.terminal import line
    from adelt.run.events import RunTold

    if quiet:
        yield (lambda _: None), (lambda _: None)
        return
    if not sys.stderr.isatty():
        done = Counter[str]()

        def on_end(ended: "Ended") -> None:
            done[ended.status] += 1
            print(f"{done.total()}/{total}  {_ended_line(ended)}", file=sys.stderr, flush=True)

        def on_event(event: "events.Event") -> None:
            if isinstance(event, RunTold):
                print(line(event), file=sys.stderr, flush=True)

        yield on_event, on_end
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(), MofNCompleteColumn(), TextColumn("{task.fields[failed]}"), TimeElapsedColumn(),
        TextColumn("left"), TimeRemainingColumn(), TextColumn("{task.description}"),
    )  # fmt: skip
    with Progress(*columns, console=Console(stderr=True)) as progress:
        bar = progress.add_task("", total=total, failed="")
        failures = 0

        def live(event: "events.Event") -> None:
            if isinstance(event, RunTold):
                progress.console.print(line(event), markup=False, highlight=False)
            task = getattr(event, "task", "")
            progress.update(bar, description=f"{event.pipeline}.{task}" if task else event.pipeline)

        def ended_live(ended: "Ended") -> None:
            nonlocal failures
            if ended.exit_code:
                failures += 1
                progress.console.print(_ended_line(ended), markup=False, highlight=False)
            progress.update(bar, advance=1, failed=f"{failures} failed" if failures else "")

        yield live, ended_live


def _ended_line(ended: "Ended") -> str:
    tail = f": {ended.message}" if ended.message else ""
    took = human_seconds(ended.seconds)
    return f"{ended.chunk.pipeline} {ended.chunk.interval}: {ended.status.lower()} in {took}{tail}"
