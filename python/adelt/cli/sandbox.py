"""Commands around the sandbox: start one, and the demonstration on one."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from adelt.cli.app import TargetOption
from adelt.errors import AdeltError, InputError

if TYPE_CHECKING:
    from adelt.settings import Settings

_EXTRA = "in the folder of adelt: make setup, or pip install '.[sandbox]'"


def sandbox(
    port: Annotated[int, typer.Option("--port", help="Port to listen on; 0 picks a free one.")] = 8765,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    seed: Annotated[int, typer.Option("--seed", help="Same seed, same world.")] = 7,
    size: Annotated[str, typer.Option("--size", help="Size of the world, tiny and up.")] = "tiny",
    now: Annotated[str, typer.Option("--now", help="Where its clock stands.")] = "2026-01-06T06:00:00Z",
    state: Annotated[
        Path | None, typer.Option("--state", help="Folder for its keys and files; .adelt/sandbox by default.")
    ] = None,
    report_seconds: Annotated[
        float, typer.Option("--report-seconds", help="Real seconds a report needs.")
    ] = 1.0,
    bigquery: Annotated[bool, typer.Option("--bigquery", help="A BigQuery beside it.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Say where it is as JSON.")] = False,
) -> None:
    """Start a local server that speaks the Google APIs; Ctrl-C ends it."""
    from contextlib import ExitStack
    from datetime import UTC, datetime

    from adelt import settings
    from adelt.cli.output import print_json

    try:
        instant = datetime.fromisoformat(now.replace("Z", "+00:00"))
    except ValueError as error:
        raise InputError(
            f"`{now}` is not a time", where="--now", fix="write it like 2026-01-06T06:00:00Z"
        ) from error
    instant = instant.replace(tzinfo=UTC) if instant.tzinfo is None else instant.astimezone(UTC)
    folder = state or settings.load().home / "sandbox"
    try:
        from adelt_sandbox import serve
    except ImportError as error:
        raise InputError(f"the sandbox is not installed ({error.name} is missing)", fix=_EXTRA) from error

    more: dict[str, str] = {}

    def ready(config: Any) -> None:
        from adelt_sandbox.server import environment, print_usage

        if as_json:
            print_json({"url": config.url, "env": {**environment(config), **more}})
            return
        print_usage(config)
        for name, value in more.items():
            print(f"export {name}={value}", flush=True)

    try:
        with ExitStack() as stack:
            if bigquery:
                from adelt_sandbox import bigquery as emulator
                from adelt_sandbox.server import buckets_of

                running = emulator.running(buckets=buckets_of(folder), state_dir=folder / "bigquery")
                more.update(stack.enter_context(running).env)
            serve(
                host, port, seed, size, instant, folder, report_seconds=report_seconds, on_ready=ready
            )  # fmt: skip
    except OSError as error:
        raise AdeltError(
            f"the sandbox cannot listen: {error.strerror or error}",
            where=f"{host}:{port}",
            fix="choose another --port",
        ) from error
    except ValueError as error:
        raise InputError(f"the sandbox cannot start: {error}", fix="see adelt sandbox --help") from error


def demo(
    keep: Annotated[
        bool, typer.Option("--keep", help="Go on with the warehouse of the last demo instead of a fresh one.")
    ] = False,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the sandbox's world.")] = 7,
    size: Annotated[str, typer.Option("--size", help="Size of the sandbox's world.")] = "tiny",
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Show everything at work: a sandbox, an archive, three days of `daily`, and a warehouse to query."""
    from adelt import settings
    from adelt.cli import demonstration
    from adelt.cli.output import print_json
    from adelt.cli.terminal import watching

    try:
        from adelt_sandbox import running
    except ImportError as error:
        raise InputError(f"the sandbox is not installed ({error.name} is missing)", fix=_EXTRA) from error
    here = demonstration.prepare(settings.load(), keep=keep)
    with watching(quiet=as_json) as listener:
        try:
            with running(
                state_dir=here.home / "demo" / "sandbox", seed=seed, size=size, now=demonstration.FIRST_NOW
            ) as server:
                results = demonstration.run(here, server, [listener], quiet=as_json)
        except RuntimeError as error:
            raise AdeltError(str(error), fix="see the server's log above") from error
    failed = [result for result in results if result.exit_code]
    if as_json:
        print_json({"warehouse": str(here.warehouse), "runs": results, "tables": demonstration.counts(here)})
    else:
        _report(here, results)
    if failed:
        raise typer.Exit(failed[0].exit_code)


def _report(here: "Settings", results: list[Any]) -> None:
    from adelt.cli import demonstration
    from adelt.cli.output import human_seconds, print_table

    counted = demonstration.counts(here)
    print()
    print_table(
        ("table", "rows"), [(name, f"{rows:,}") for name, rows in counted.items()], title="What is there now"
    )
    print()
    print_table(
        ("run", "pipeline", "interval", "status", "took"),
        [(r.run_id, r.pipeline, r.interval, r.status, human_seconds(r.seconds)) for r in results],
        title="What ran (adelt runs ID shows the tasks)",
    )
    print(f"\nThe warehouse is {here.warehouse}\n\nTry:\n")
    for title, command in demonstration.queries(here):
        print(f"# {title}\n{command}\n")


def query(
    sql: Annotated[str, typer.Argument(help="One SQL query.")],
    warehouse: Annotated[
        Path | None, typer.Option("--warehouse", help="Another DuckDB file than that of the settings.")
    ] = None,
    target: TargetOption = None,
    as_json: Annotated[bool, typer.Option("--json", help="Machine-readable output.")] = False,
) -> None:
    """Ask the warehouse a question; nothing can be changed."""
    from adelt import settings
    from adelt.cli.output import print_json, print_table
    from adelt.warehouse import ask
    from adelt_sources.warehouse import DuckDb

    columns, rows = ask(DuckDb(warehouse) if warehouse else settings.load(target).warehouse, sql)
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    else:
        print_table(columns, rows)
